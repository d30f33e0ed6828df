import { FUNCTIONS, TABLE_FUNCTIONS } from './functions.ts';
import type { ApiErrorCode } from './api.ts';

/**
 * Decides from a statement's syntax tree (DuckDB's `json_serialize_sql`) whether it may run: one SELECT over our views,
 * its own CTEs and two catalogue views, with functions of the allow-list. All else is refused, also what a later
 * version of the engine adds: node types are an allow-list too.
 */
export interface Refusal {
  code: Extract<ApiErrorCode, 'sql_syntax' | 'sql_not_select' | 'sql_not_allowed'>;
  message: string;
}

type Tree = Record<string, unknown>;

/** Query nodes, table references, modifiers and sort orders: objects that have a `type` and no `class`. */
const NODE_TYPES = new Set(
  (
    'SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE EMPTY BASE_TABLE JOIN SUBQUERY TABLE_FUNCTION ' +
    'EXPRESSION_LIST PIVOT SHOW_REF LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER DISTINCT_MODIFIER ORDER_MODIFIER ' +
    'ORDER_DEFAULT ASCENDING DESCENDING'
  ).split(' '),
);
const EXPRESSION_CLASSES = new Set(
  (
    'BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA LAMBDA_REF OPERATOR ' +
    'PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY WINDOW'
  ).split(' '),
);
const CATALOGUE = new Set(['information_schema.columns', 'information_schema.tables']);
/** A CTE so named would hide an internal view where the statement asks for it, or be taken for it where it is not in scope. */
const SYSTEM_NAME = /^(duckdb_|pragma_|pg_|sqlite_|information_schema)/;
/** Of any alphabet, but with nothing in it that makes a path or an address. */
const PLAIN_NAME = /^[\p{L}_][\p{L}\p{M}\p{N}_ ]*$/u;

class NotAllowed extends Error {}
const refuse = (what: string): never => {
  throw new NotAllowed(`${what} is not allowed`);
};
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null;
const text = (value: unknown): string => (typeof value === 'string' ? value.toLowerCase() : '');

/** `serialized`: what `json_serialize_sql` answered. Undefined when the statement may run. */
export function judge(serialized: string, views: ReadonlySet<string>): Refusal | undefined {
  let answer: Tree;
  try {
    answer = JSON.parse(serialized) as Tree;
  } catch {
    // The engine writes a constant that is not finite as JSON cannot.
    return { code: 'sql_syntax', message: 'Parser Error: a number is past the range of DOUBLE' };
  }
  if (answer.error === true) {
    const message = String(answer.error_message);
    return answer.error_type === 'not implemented' && message.startsWith('Only SELECT')
      ? { code: 'sql_not_select', message: 'only a single SELECT is run' }
      : { code: 'sql_syntax', message: `Parser Error: ${message}` };
  }
  const statements = Array.isArray(answer.statements) ? (answer.statements as unknown[]) : [];
  if (statements.length !== 1)
    return {
      code: 'sql_not_select',
      message: `only a single SELECT is run, not ${statements.length} statements`,
    };
  try {
    walk(statements[0], { views, tables: views });
    return undefined;
  } catch (error) {
    if (error instanceof NotAllowed) return { code: 'sql_not_allowed', message: error.message };
    if (error instanceof RangeError)
      return { code: 'sql_not_allowed', message: 'so deep a nesting is not allowed' };
    throw error;
  }
}

/** Names that FROM may use: our views, and with those the CTEs around. */
interface Scope {
  views: ReadonlySet<string>;
  tables: ReadonlySet<string>;
}

function walk(value: unknown, around: Scope): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, around);
    return;
  }
  if (!isTree(value)) return;
  if (typeof value.class === 'string') checkExpression(value);
  else if (typeof value.type === 'string') checkNode(value, around);
  if (value.class === 'CONSTANT') return;
  const scope = { ...around, tables: withCtes(value.cte_map, around.tables) };
  for (const [key, child] of Object.entries(value)) {
    // The function of a table function was judged by the other list; what is in it are expressions like any other.
    if (key === 'function' && value.type === 'TABLE_FUNCTION' && isTree(child))
      walk(Object.values(child), scope);
    else walk(child, scope);
  }
}

function checkExpression(expression: Tree): void {
  if (!EXPRESSION_CLASSES.has(String(expression.class)))
    refuse(`an expression of class ${String(expression.class)}`);
  if (expression.function_name === undefined) return;
  checkFunction(expression, FUNCTIONS, 'function');
}

function checkFunction(call: Tree, allowed: ReadonlySet<string>, kind: string): void {
  const name = text(call.function_name);
  const schema = text(call.schema);
  if (!allowed.has(name)) refuse(`${kind} ${name}`);
  if (text(call.catalog) || (schema && schema !== 'main')) refuse(`${kind} ${schema}.${name}`);
}

function checkNode(node: Tree, scope: Scope): void {
  const type = String(node.type);
  if (type.endsWith('_TYPE_INFO')) return;
  if (!NODE_TYPES.has(type)) refuse(`a clause of type ${type}`);
  if (type === 'TABLE_FUNCTION') {
    if (!isTree(node.function) || node.function.class !== 'FUNCTION') refuse('such a table function');
    else checkFunction(node.function, TABLE_FUNCTIONS, 'table function');
  }
  if (type === 'BASE_TABLE') checkTable(node, scope);
  if (type === 'SHOW_REF' && !isTree(node.query) && text(node.table_name) !== '"tables"')
    refuse(`SHOW ${text(node.table_name).replaceAll('"', '')}`);
}

function checkTable(node: Tree, { views, tables }: Scope): void {
  const name = text(node.table_name);
  const schema = text(node.schema_name);
  const catalog = text(node.catalog_name);
  if (node.at_clause) refuse('AT');
  if (catalog) refuse(`table ${catalog}.${schema}.${name}`);
  const allowed = schema
    ? CATALOGUE.has(`${schema}.${name}`) || (schema === 'main' && views.has(name))
    : tables.has(name);
  if (!allowed) refuse(`table ${schema ? `${schema}.` : ''}${name}`);
}

function withCtes(map: unknown, tables: ReadonlySet<string>): ReadonlySet<string> {
  const entries = isTree(map) && Array.isArray(map.map) ? (map.map as unknown[]) : [];
  if (!entries.length) return tables;
  const scope = new Set(tables);
  for (const entry of entries) {
    const name = isTree(entry) ? text(entry.key) : '';
    if (!PLAIN_NAME.test(name) || SYSTEM_NAME.test(name)) refuse(`a CTE named ${name}`);
    scope.add(name);
  }
  return scope;
}
