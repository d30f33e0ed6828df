"""Other programs' readers, for iceberg.readers.test.ts: asks come as JSON lines, answers go as JSON lines.

Each reader tells of an Iceberg table the same things in the same words, so that they can be compared: `summary` its rows, `types`
its columns' types, `values` some of its columns, `few` how many files (where it can tell) and rows a filter takes by one session and by one day, `appended` how many rows came since
a snapshot, `plain` how many there are below a directory. `open` keeps a table as it is now, under a name, for `summary` to read later.
"""

import contextlib
import glob
import importlib.util
import json
import os
import shutil
import sys

TYPES = {
    "string": "string", "String": "string", "VARCHAR": "string", "large_string": "string", "extension<arrow.json>": "string",
    "int": "int", "Int32": "int", "INTEGER": "int", "int32": "int",
    "boolean": "boolean", "Boolean": "boolean", "BOOLEAN": "boolean", "Bool": "boolean", "bool": "boolean",
    "timestamptz": "timestamptz", "TIMESTAMP WITH TIME ZONE": "timestamptz", "timestamp": "timestamptz",
    "Datetime(time_unit='us', time_zone='UTC')": "timestamptz", "DateTime64(6, 'UTC')": "timestamptz", "timestamp[us, tz=UTC]": "timestamptz",
}  # fmt: skip
SUMMARY = ["rows", "sessions", "disabled", "enabled", "ts_min", "ts_max", "micros", "x", "props", "text"]


class Reader:
    def __init__(self, s3):
        self.s3 = s3
        self.opened = {}

    def summary(self, table, opened=None):
        return dict(zip(SUMMARY, self.numbers(self.opened[opened] if opened else self.table(table))))

    def types(self, table):
        return {name: TYPES.get(str(kind), str(kind)) for name, kind in self.columns(self.table(table))}

    def values(self, table, columns):
        return sorted(map(list, self.rows(self.table(table), columns)))

    def open(self, table, name):
        self.opened[name] = self.table(table)


class PyIceberg(Reader):
    def table(self, path):
        from pyiceberg.table import StaticTable

        return StaticTable.from_metadata(path, self.properties())

    def properties(self):
        s3 = self.s3
        return (
            s3
            and {
                "s3.endpoint": s3["endpoint"],
                "s3.access-key-id": s3["accessKey"],
                "s3.secret-access-key": s3["secretKey"],
                "s3.region": "us-east-1",
            }
            or {}
        )

    def columns(self, table):
        return [(field.name, field.field_type) for field in table.schema().fields]

    def numbers(self, table):
        return of_arrow(table.scan().to_arrow())

    def few(self, table, session, ts, time="ts"):
        counts = []
        for filter in (f"session_id = '{session}'", f"{time} >= '{ts[0]}' and {time} < '{ts[1]}'"):
            scan = self.table(table).scan(row_filter=filter)
            counts.append([len(list(scan.plan_files())), scan.to_arrow().num_rows])
        return counts

    def rows(self, table, columns):
        return rows_of(table.scan(selected_fields=tuple(columns)).to_arrow(), columns)

    def snapshots(self, table):
        return [
            [snapshot.snapshot_id, snapshot.summary.operation.value]
            for snapshot in self.table(table).metadata.snapshots
        ]


def rows_of(table, columns):
    return zip(*(table.column(name).to_pylist() for name in columns))


def of_arrow(rows):
    import pyarrow as pa
    import pyarrow.compute as pc

    disabled, ts = rows.column("disabled"), pc.cast(rows.column("ts"), pa.int64())
    micros = pc.subtract(ts, pc.multiply(pc.divide(ts, 1000), 1000))
    sums = [
        pc.sum(disabled),
        pc.sum(pc.invert(disabled)),
        pc.min(ts),
        pc.max(ts),
        pc.sum(micros),
        pc.sum(rows.column("x")),
    ]
    sums += [pc.sum(pc.utf8_length(rows.column("props"))), pc.sum(pc.equal(rows.column("text"), "Größe"))]
    return [
        rows.num_rows,
        pc.count_distinct(rows.column("session_id")).as_py(),
        *(one.as_py() for one in sums),
    ]


class PyArrow(PyIceberg):
    """Plain Parquet: pyarrow by itself, on the files that the table names now."""

    def table(self, path):
        import pyarrow.dataset as ds

        files = [task.file.file_path for task in super().table(path).scan().plan_files()]
        kept = [file.split("://", 1)[1] for file in files]
        fs = None
        if self.s3:
            from pyarrow.fs import S3FileSystem

            host = self.s3["endpoint"].split("://")[1]
            fs = S3FileSystem(
                access_key=self.s3["accessKey"],
                secret_key=self.s3["secretKey"],
                endpoint_override=host,
                scheme="http",
                region="us-east-1",
            )
        return ds.dataset(kept, filesystem=fs, format="parquet")

    def columns(self, table):
        return [(field.name, field.type) for field in table.schema]

    def numbers(self, table):
        return of_arrow(table.to_table())

    def rows(self, table, columns):
        return rows_of(table.to_table(columns=columns), columns)

    def few(self, table, session, ts, time="ts"):
        import datetime as dt
        import pyarrow.compute as pc

        low, high = map(dt.datetime.fromisoformat, ts)
        filters = (pc.field("session_id") == session, (pc.field(time) >= low) & (pc.field(time) < high))
        return [[None, self.table(table).to_table(filter=one).num_rows] for one in filters]


class Polars(PyIceberg):
    def table(self, path):
        import polars as pl

        # Polars wants the metadata's own path; the hint says which is the newest.
        return pl.scan_iceberg(super().table(path).metadata_location, storage_options=self.properties())

    def columns(self, table):
        return list(table.collect_schema().items())

    def numbers(self, table):
        import polars as pl

        c = pl.col
        ts = c("ts").to_physical()
        row = table.select(
            pl.len().alias("rows"), c("session_id").n_unique(), c("disabled").sum(), (~c("disabled")).sum().alias("enabled"),
            ts.min().alias("ts_min"), ts.max().alias("ts_max"), (ts % 1000).sum().alias("micros"), c("x").cast(pl.Int64).sum(),
            c("props").str.len_chars().sum(), (c("text") == "Größe").sum(),
        ).collect()  # fmt: skip
        return list(row.row(0))

    def rows(self, table, columns):
        return table.select(columns).collect().rows()

    def appended(self, table, since):
        import polars as pl

        path = super().table(table).metadata_location
        return (
            pl.scan_iceberg(path, storage_options=self.properties(), from_snapshot_id_exclusive=since)
            .select(pl.len())
            .collect()
            .item()
        )

    def plain(self, folder):
        import polars as pl

        if self.s3:
            options = {
                "aws_endpoint_url": self.s3["endpoint"],
                "aws_access_key_id": self.s3["accessKey"],
                "aws_secret_access_key": self.s3["secretKey"],
                "aws_region": "us-east-1",
            }
        else:
            options, folder = None, folder.removeprefix("file://")
        return (
            pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True, storage_options=options)
            .select(pl.len())
            .collect()
            .item()
        )

    def few(self, table, session, ts, time="ts"):
        import datetime as dt
        import polars as pl

        low, high = map(dt.datetime.fromisoformat, ts)
        filters = (pl.col("session_id") == session, (pl.col(time) >= low) & (pl.col(time) < high))
        return [[None, self.table(table).filter(one).select(pl.len()).collect().item()] for one in filters]


COUNTS = (
    "SELECT count(*), count(DISTINCT session_id), sum(CASE WHEN disabled THEN 1 ELSE 0 END), "
    "sum(CASE WHEN NOT disabled THEN 1 ELSE 0 END), min({micros}), max({micros}), sum({micros} % 1000), sum(x), "
    "sum(length(props)), sum(CASE WHEN text = 'Größe' THEN 1 ELSE 0 END) FROM {table}"
)


class DuckDB(Reader):
    def __init__(self, s3):
        super().__init__(s3)
        import duckdb

        self.connection = duckdb.connect()
        for name in ("avro", "httpfs", "iceberg"):
            folder = os.path.dirname(importlib.import_module(f"duckdb_extension_{name}").__file__)
            [file] = glob.glob(f"{folder}/extensions/*/{name}.duckdb_extension")
            self.connection.execute(f"LOAD '{file}'")
        if s3:
            host = s3["endpoint"].split("://")[1]
            self.connection.execute(
                f"CREATE SECRET (TYPE s3, KEY_ID '{s3['accessKey']}', SECRET '{s3['secretKey']}', ENDPOINT '{host}', "
                "URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')"
            )

    def ask(self, sql):
        return self.connection.execute(sql).fetchall()

    def table(self, path):
        return f"iceberg_scan('{path}')"

    def open(self, table, name):
        # A view would look for the newest version at each read.
        version = self.ask(f"SELECT content FROM read_text('{table}/metadata/version-hint.text')")[0][0]
        self.opened[name] = f"iceberg_scan('{table}/metadata/v{version}.metadata.json')"

    def columns(self, table):
        return [(name, kind) for name, kind, *_ in self.ask(f"DESCRIBE SELECT * FROM {table}")]

    def numbers(self, table):
        return [int(value or 0) for value in self.ask(COUNTS.format(table=table, micros="epoch_us(ts)"))[0]]

    def rows(self, table, columns):
        return self.ask(f"SELECT {', '.join(columns)} FROM {table}")

    def plain(self, folder):
        return self.ask(
            f"SELECT count(*) FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true) WHERE date >= DATE '2000-01-01'"
        )[0][0]

    def few(self, table, session, ts, time="ts"):
        filters = (f"session_id = '{session}'", f"{time} >= TIMESTAMPTZ '{ts[0]}' AND {time} < TIMESTAMPTZ '{ts[1]}'")
        counts = []
        for one in filters:
            sql = f"SELECT count(*) FROM {self.table(table)} WHERE {one}"
            [(_, plan)] = self.ask(f"EXPLAIN (ANALYZE, FORMAT json) {sql}")
            counts.append([files_read(json.loads(plan)), self.ask(sql)[0][0]])
        return counts


def files_read(node):
    told = node.get("extra_info", {}).get("Total Files Read")
    return (
        int(told)
        if told
        else next((found for child in node.get("children", []) if (found := files_read(child))), None)
    )


class ClickHouse(Reader):
    def ask(self, sql):
        import chdb

        answer = chdb.query(sql, "JSONCompact")
        return json.loads(str(answer))["data"]

    def table(self, path):
        if not self.s3:
            # It reads only below its working directory.
            os.chdir(path.removeprefix("file://").split("/v1/")[0])
            return f"icebergLocal('{path.removeprefix('file://')}')"
        place = path.removeprefix("s3://")
        return (
            f"icebergS3('{self.s3['endpoint']}/{place}/', '{self.s3['accessKey']}', '{self.s3['secretKey']}')"
        )

    def columns(self, table):
        plain = lambda kind: (
            kind.removeprefix("Nullable(").removesuffix(")") if kind.startswith("Nullable(") else kind
        )
        return [(row[0], plain(row[1])) for row in self.ask(f"DESCRIBE {table}")]

    def numbers(self, table):
        return [
            int(value or 0)
            for value in self.ask(COUNTS.format(table=table, micros="toUnixTimestamp64Micro(ts)"))[0]
        ]

    def rows(self, table, columns):
        return [
            [int(value) if isinstance(value, str) and value.isdigit() else value for value in row]
            for row in self.ask(f"SELECT {', '.join(columns)} FROM {table}")
        ]

    def few(self, table, session, ts, time="ts"):
        times = [f"toDateTime64('{one[:19].replace('T', ' ')}', 6, 'UTC')" for one in ts]
        filters = (f"session_id = '{session}'", f"{time} >= {times[0]} AND {time} < {times[1]}")
        return [
            [None, int(self.ask(f"SELECT count() FROM {self.table(table)} WHERE {one}")[0][0])]
            for one in filters
        ]


class Spark(Reader):
    def __init__(self, s3):
        super().__init__(s3)
        from pyspark.sql import SparkSession

        settings = {
            "spark.jars": ",".join(JARS),
            "spark.sql.session.timeZone": "UTC",
            "spark.ui.enabled": "false",
            "spark.driver.memory": "1g",
        }
        builder = SparkSession.builder.master("local[1]")
        for name, value in settings.items():
            builder = builder.config(name, value)
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")

    def table(self, path, **options):
        return self.session.read.format("iceberg").options(**options).load(path)

    def open(self, table, name):
        opened = self.table(table)
        opened.schema
        self.opened[name] = opened

    def columns(self, table):
        return [(field.name, field.dataType.simpleString()) for field in table.schema.fields]

    def numbers(self, table):
        table.createOrReplaceTempView("asked")
        return [
            int(value or 0)
            for value in self.session.sql(COUNTS.format(table="asked", micros="unix_micros(ts)")).collect()[0]
        ]

    def rows(self, table, columns):
        return [tuple(row) for row in table.select(*columns).collect()]

    def few(self, table, session, ts, time="ts"):
        filters = (f"session_id = '{session}'", f"{time} >= '{ts[0]}' AND {time} < '{ts[1]}'")
        asked = [self.table(table).where(one) for one in filters]
        return [[len({row[0] for row in one.selectExpr("_file").collect()}), one.count()] for one in asked]

    def appended(self, table, since):
        return self.table(table, **{"start-snapshot-id": str(since)}).count()


READERS = {
    "pyiceberg": PyIceberg,
    "pyarrow": PyArrow,
    "polars": Polars,
    "duckdb": DuckDB,
    "clickhouse": ClickHouse,
    "spark": Spark,
}
JARS = glob.glob(os.path.join(os.path.dirname(sys.executable), "../jars/*.jar"))
MODULES = {"clickhouse": "chdb", "spark": "pyspark"}


def there(name):
    found = importlib.util.find_spec(MODULES.get(name, name)) is not None
    return found and (name != "spark" or bool(JARS and shutil.which("java")))


def main():
    readers = {}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps([name for name in READERS if there(name)]), file=out, flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        s3 = ask["s3"]
        key = (ask["reader"], s3 and s3["endpoint"])
        try:
            if key not in readers:
                readers[key] = READERS[ask["reader"]](s3)
            answer = {"answer": getattr(readers[key], ask["act"])(*ask["with"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), file=out, flush=True)


with contextlib.suppress(KeyboardInterrupt):
    main()
