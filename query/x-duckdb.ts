import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  DuckDBArrayValue,
  DuckDBDecimalValue,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTypeId,
  DuckDBUnionValue,
  SQLNULL,
  StatementType,
  VARCHAR,
  type DuckDBConnection,
  type DuckDBPreparedStatement,
  type DuckDBType,
  type DuckDBValue,
} from '@duckdb/node-api';
import { isoInstant, type Cell, type Json, type Kind, type ResultColumn } from './rows.ts';

export type Param = string | number | boolean | null;
export interface EngineOptions {
  /** The only directory whose files can be read. */
  dir: string;
  /** Where statements spill. */
  spillDir: string;
  memoryBytes: number;
  threads: number;
}
export interface Engine {
  /** The syntax tree as JSON; made in an instance that has no data. */
  parse(sql: string): Promise<string>;
  /** Runs our own statements, which make the views. */
  define(statements: readonly string[]): Promise<void>;
  /** One SELECT, of whose rows at most `rowsMax` are made. @throws Error with DuckDB's message */
  select(sql: string, params: readonly Param[], rowsMax?: number): Promise<Selection>;
  interrupt(): void;
  close(): void;
}
export interface Selection {
  columns: ResultColumn[];
  /** Each chunk: one array a column. */
  chunks: AsyncIterable<Cell[][]>;
}

/** DuckDB with nothing left open: its settings cannot be changed once this has returned. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const parser = await (
    await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '64MB' })
  ).connect();
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(options.threads),
    memory_limit: `${Math.floor(options.memoryBytes / 1_000_000)}MB`,
  });
  const trusted = await instance.connect();
  for (const statement of lock(options)) await trusted.run(statement);
  const untrusted = await instance.connect();
  return {
    async parse(sql) {
      const reader = await parser.runAndReadAll(
        'SELECT json_serialize_sql($1::VARCHAR, skip_null := true, skip_empty := true, skip_default := true)',
        [sql],
      );
      return String(reader.getRows()[0]?.[0]);
    },
    async define(statements) {
      for (const statement of statements) await trusted.run(statement);
    },
    select: (sql, params, rowsMax) => select(untrusted, parser, sql, params, rowsMax),
    interrupt: () => untrusted.interrupt(),
    close: () => instance.closeSync(),
  };
}

const quote = (value: string): string => `'${value.replaceAll("'", "''")}'`;
const lock = ({ dir, spillDir }: EngineOptions): string[] => [
  `SET TimeZone = 'UTC'`,
  'SET autoinstall_known_extensions = false',
  'SET autoload_known_extensions = false',
  'SET allow_community_extensions = false',
  `SET temp_directory = ${quote(spillDir)}`,
  `SET max_temp_directory_size = '1GB'`,
  `SET allowed_directories = [${quote(`${dir}/`)}]`,
  'SET enable_external_access = false',
  'SET lock_configuration = true',
];

async function select(
  connection: DuckDBConnection,
  parser: DuckDBConnection,
  sql: string,
  params: readonly Param[],
  rowsMax = Number.MAX_SAFE_INTEGER,
): Promise<Selection> {
  const asked = await prepare(connection, sql);
  // The guard has looked before. This holds also if it should be fooled: nothing that writes or sets is a SELECT.
  if (asked.statementType !== StatementType.SELECT) throw new Error('Permission Error: only SELECT is run');
  if (asked.parameterCount !== params.length)
    throw new Error(
      `Binder Error: the statement has ${asked.parameterCount} parameters, ${params.length} values were given`,
    );
  asked.bind(params.map(bindable), params.map(typeOf));
  const prepared = await prepareBounded(connection, parser, sql, rowsMax);
  prepared.bind(params.map(bindable), params.map(typeOf));
  // Not streamed: an error or interrupt amid a stream looks like its end, and a part of the rows like all of them.
  const result = await prepared.run();
  // Inside parentheses a second column of the same name gets another; with values to come only those names are known.
  const names = params.length
    ? result.columnNames()
    : result.columnNames().map((_, i) => asked.columnName(i));
  const columns = names.map((name, i) => {
    const type = result.columnType(i);
    checkFields(type);
    return { name, type: type.alias ?? String(type), kind: kindOf(type) };
  });
  async function* chunks(): AsyncGenerator<Cell[][]> {
    for (;;) {
      const chunk = await result.fetchChunk();
      if (!chunk || chunk.rowCount === 0) return;
      yield columns.map(({ kind }, i) => chunk.getColumnValues(i).map((value) => cellOf(value, kind)));
    }
  }
  return { columns, chunks: chunks() };
}

async function prepare(connection: DuckDBConnection, sql: string): Promise<DuckDBPreparedStatement> {
  const statements = await connection.extractStatements(sql);
  if (statements.count !== 1) throw new Error(`Parser Error: ${statements.count} statements instead of one`);
  return statements.prepare(0);
}

/** In parentheses under a LIMIT. What has a semicolon amid its last comments is first written anew from its tree. */
async function prepareBounded(
  connection: DuckDBConnection,
  parser: DuckDBConnection,
  sql: string,
  rowsMax: number,
): Promise<DuckDBPreparedStatement> {
  const bounded = (text: string): string => `SELECT * FROM (\n${text}\n) LIMIT ${rowsMax}`;
  try {
    return await prepare(connection, bounded(sql.replace(/[\s;]+$/, '')));
  } catch (error) {
    if (!(error as Error).message.includes('Parser Error')) throw error;
    const reader = await parser.runAndReadAll(
      'SELECT json_deserialize_sql(json_serialize_sql($1::VARCHAR))',
      [sql],
    );
    return prepare(connection, bounded(String(reader.getRows()[0]?.[0])));
  }
}

const bindable = (value: Param): DuckDBValue =>
  typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
function typeOf(value: Param): DuckDBType {
  if (value === null) return SQLNULL;
  if (typeof value === 'boolean') return BOOLEAN;
  if (typeof value === 'string') return VARCHAR;
  return Number.isSafeInteger(value) ? BIGINT : DOUBLE;
}

/** The library makes an object of a struct: of fields with one name only the last would be told. @throws Error */
function checkFields(type: DuckDBType): void {
  if (type.typeId === DuckDBTypeId.STRUCT) {
    const names = type.entryNames;
    if (new Set(names).size < names.length || names.includes('__proto__'))
      throw new Error(
        `Binder Error: the fields of ${String(type)} cannot be told apart; name them: {'a': …, 'b': …}`,
      );
    type.entryTypes.forEach(checkFields);
  } else if (type.typeId === DuckDBTypeId.UNION) type.memberTypes.forEach(checkFields);
  else if (type.typeId === DuckDBTypeId.MAP) [type.keyType, type.valueType].forEach(checkFields);
  else if (type.typeId === DuckDBTypeId.LIST || type.typeId === DuckDBTypeId.ARRAY)
    checkFields(type.valueType);
}

const KINDS: Partial<Record<DuckDBTypeId, Kind>> = {
  [DuckDBTypeId.BOOLEAN]: 'boolean',
  [DuckDBTypeId.TINYINT]: 'integer',
  [DuckDBTypeId.SMALLINT]: 'integer',
  [DuckDBTypeId.INTEGER]: 'integer',
  [DuckDBTypeId.BIGINT]: 'integer',
  [DuckDBTypeId.HUGEINT]: 'integer',
  [DuckDBTypeId.UTINYINT]: 'integer',
  [DuckDBTypeId.USMALLINT]: 'integer',
  [DuckDBTypeId.UINTEGER]: 'integer',
  [DuckDBTypeId.UBIGINT]: 'integer',
  [DuckDBTypeId.UHUGEINT]: 'integer',
  [DuckDBTypeId.FLOAT]: 'number',
  [DuckDBTypeId.DOUBLE]: 'number',
  [DuckDBTypeId.TIMESTAMP]: 'instant',
  [DuckDBTypeId.TIMESTAMP_S]: 'instant',
  [DuckDBTypeId.TIMESTAMP_MS]: 'instant',
  [DuckDBTypeId.TIMESTAMP_NS]: 'instant',
  [DuckDBTypeId.TIMESTAMP_TZ]: 'instant',
  [DuckDBTypeId.LIST]: 'json',
  [DuckDBTypeId.ARRAY]: 'json',
  [DuckDBTypeId.STRUCT]: 'json',
  [DuckDBTypeId.MAP]: 'json',
  [DuckDBTypeId.UNION]: 'json',
};
/** Decimals that a float64 holds exactly enough are numbers, wider ones texts. */
const DECIMAL_DIGITS_MAX = 15;
function kindOf(type: DuckDBType): Kind {
  if (type.typeId === DuckDBTypeId.DECIMAL) return type.width <= DECIMAL_DIGITS_MAX ? 'number' : 'text';
  return KINDS[type.typeId] ?? 'text';
}

function cellOf(value: DuckDBValue, kind: Kind): Cell {
  if (value === null) return null;
  if (kind === 'instant') return instantOf(value) ?? String(value);
  if (typeof value === 'bigint' && kind === 'integer')
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  if (kind === 'number' && value instanceof DuckDBDecimalValue) return Number(value.toString());
  if (kind === 'json') return jsonOf(value);
  return typeof value === 'boolean' || typeof value === 'number' ? value : String(value);
}

/** Microseconds since the epoch; undefined for what is no instant or not finite. */
function instantOf(value: DuckDBValue): bigint | undefined {
  if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue)
    return value.isFinite ? value.micros : undefined;
  if (value instanceof DuckDBTimestampMillisecondsValue)
    return value.isFinite ? value.millis * 1000n : undefined;
  if (value instanceof DuckDBTimestampSecondsValue)
    return value.isFinite ? value.seconds * 1_000_000n : undefined;
  if (value instanceof DuckDBTimestampNanosecondsValue)
    return value.isFinite ? value.nanos / 1000n : undefined;
  return undefined;
}

function jsonOf(value: DuckDBValue): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint')
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(jsonOf);
  if (value instanceof DuckDBStructValue)
    return Object.fromEntries(Object.entries(value.entries).map(([name, entry]) => [name, jsonOf(entry)]));
  if (value instanceof DuckDBMapValue)
    return value.entries.map((entry) => ({ key: jsonOf(entry.key), value: jsonOf(entry.value) }));
  if (value instanceof DuckDBUnionValue) return jsonOf(value.value);
  if (value instanceof DuckDBDecimalValue && value.width <= DECIMAL_DIGITS_MAX)
    return Number(value.toString());
  const instant = instantOf(value);
  return instant === undefined ? String(value) : isoInstant(instant);
}
