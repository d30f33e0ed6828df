/**
 * Which of DuckDB's functions a statement may use. An allow-list by name: what a later version adds is refused until it
 * is put here or among DENIED (a test wants every function of the engine in exactly one of the two).
 */
const words = (text: string): string[] => text.trim().split(/\s+/);

const OPERATORS = words(`
  + - * / // % ** ^ & | << >> ~ || ~~ !~~ ~~* !~~* ~~~ @> <@ && ^@ -> ->> @ !__postfix <-> <=> xor`);

const TEXT = words(`
  array_extract ascii base64 bin bit_length char_length character_length chr concat concat_ws contains ends_with
  format_bytes formatReadableDecimalSize formatReadableSize from_base64 from_binary from_hex hex ilike_escape instr
  jaccard hamming mismatches lcase left left_grapheme len length length_grapheme like_escape lower ltrim md5 md5_number
  md5_number_lower md5_number_upper nfc_normalize not_ilike_escape not_like_escape octet_length ord
  parse_formatted_bytes pg_size_pretty position prefix regexp_escape regexp_extract regexp_extract_all regexp_full_match
  regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table replace reverse right right_grapheme rtrim
  sha1 sha256 split split_part starts_with str_split str_split_regex string_split string_split_regex string_to_array
  strip_accents strlen strpos substr substring substring_grapheme suffix switch to_base to_base64 to_binary to_hex
  translate trim ucase unbin unhex unicode upper url_decode url_encode encode decode
  parse_dirname parse_dirpath parse_filename parse_path bar`);

const NUMBERS = words(`
  abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp
  factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor hash isfinite isinf isnan lcm least
  least_common_multiple lgamma ln log log10 log2 mod multiply nextafter pi pow power radians random round round_even
  roundbankers sign signbit sin sinh sqrt subtract tan tanh trunc
  gen_random_uuid uuid uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version`);

const TIMES = words(`
  age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part date_sub date_trunc
  datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms
  epoch_ns epoch_us era get_current_time get_current_timestamp hour isodow isoyear julian last_day make_date make_time
  make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium millisecond minute month
  monthname nanosecond normalized_interval now quarter second strftime strptime time_bucket timetz_byte_comparable
  timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia
  to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today
  transaction_timestamp try_strptime week weekday weekofyear year yearweek`);

const LISTS = words(`
  apply array_append array_apply array_cat array_concat array_contains array_cosine_distance array_cosine_similarity
  array_cross_product array_distance array_distinct array_dot_product array_filter array_grade_up array_has
  array_has_all array_has_any array_indexof array_inner_product array_intersect array_length
  array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_position array_prepend
  array_push_back array_push_front array_reduce array_reverse array_reverse_sort array_select array_slice array_sort
  array_to_string array_to_string_comma_default array_transform array_unique array_value array_where array_zip
  cardinality element_at filter flatten generate_series grade_up list_any_value list_append list_apply
  list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat
  list_concat list_contains list_cosine_distance list_cosine_similarity list_count list_distance list_distinct
  list_dot_product list_element list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all
  list_has_any list_histogram list_indexof list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last
  list_mad list_max list_median list_min list_mode list_negative_dot_product list_negative_inner_product list_pack
  list_position list_prepend list_product list_reduce list_reverse list_reverse_sort list_select list_sem list_skewness
  list_slice list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value
  list_var_pop list_var_samp list_where list_zip map map_concat map_contains map_contains_entry map_contains_value
  map_entries map_extract map_extract_value map_from_entries map_keys map_values range reduce row struct_concat
  struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack
  struct_position struct_update struct_values union_extract union_tag union_value unnest unpivot_list`);

const JSONS = words(`
  array_to_json from_json from_json_strict json json_array json_array_length json_contains json_exists json_extract
  json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object json_group_structure
  json_keys json_merge_patch json_object json_pretty json_quote json_structure json_transform json_transform_strict
  json_type json_valid json_value row_to_json to_json`);

const OTHERS = words(`
  bit_position get_bit set_bit can_cast_implicitly constant_or_null error isnan nullif alias pg_typeof typeof enum_code enum_first enum_last enum_range enum_range_boundary version`);

const AGGREGATES = words(`
  any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last arg_min
  arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count
  count_if count_star countif covar_pop covar_samp cume_dist dense_rank entropy favg fill first first_value fsum
  geomean geometric_mean group_concat histogram histogram_exact kahan_sum kurtosis kurtosis_pop lag last last_value lead
  list listagg mad max max_by mean median min min_by mode nth_value ntile percent_rank product quantile quantile_cont
  quantile_disc rank rank_dense regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
  regr_syy row_number sem skewness stddev stddev_pop stddev_samp string_agg sum sumkahan var_pop var_samp variance
  wavg weighted_avg`);

/** Ours. */
export const MACROS = ['replay_url'] as const;

const lower = (names: readonly string[]): string[] => names.map((name) => name.toLowerCase());

/** Scalar functions, operators, aggregates and macros, in lower case. */
export const FUNCTIONS: ReadonlySet<string> = new Set(
  lower([
    ...OPERATORS,
    ...TEXT,
    ...NUMBERS,
    ...TIMES,
    ...LISTS,
    ...JSONS,
    ...OTHERS,
    ...AGGREGATES,
    ...MACROS,
  ]),
);

/** What may stand in FROM. Huge ranges are the watchdog's business. */
export const TABLE_FUNCTIONS: ReadonlySet<string> = new Set(
  words('generate_series json_each json_tree range unnest'),
);

/** What is refused, and why: a bomb that neither `memory_limit` nor `interrupt` holds, a window on the server, or no use. */
export const DENIED: Record<string, RegExp> = {
  'makes values of any length in one step, past memory_limit':
    /^(repeat|repeat_row|lpad|rpad|printf|format|bitstring|bitstring_agg|(list|array)_resize|equi_width_bins|reservoir_quantile)$/,
  'goes on after interrupt': /^(levenshtein|damerau_levenshtein|editdist3|jaro_.*|sleep_ms|pg_sleep)$/,
  'calls a function or runs a statement named by a text':
    /^(aggregate|(list|array)_aggr(egate)?|query|query_table|json_execute_serialized_sql|json_(de)?serialize_(sql|plan)|histogram|histogram_values|generate_subscripts)$/,
  'tells about the server, its settings and its files or changes them':
    /^(current_(?!date$|localtime).*|getvariable|currval|nextval|setseed|in_search_path|session_user|user|txid_current|write_log|parse_duckdb_log_message|duckdb_.*|pragma_.*|inet_.*|pg_(?!typeof$|size_pretty$).*|has_.*_privilege|obj_description|col_description|shobj_description|format_pg_type|format_type|map_to_pg_oid|get_block_size|which_secret|summary|checkpoint|force_checkpoint|(en|dis)able_.*|check_peg_parser|truncate_duckdb_logs|icu_calendar_names|sql_auto_complete)$/,
  'reads files or memory': /^(read_.*|glob|parquet_.*|sniff_csv|arrow_scan.*|seq_scan)$/,
  'is internal or of no use here':
    /^(__internal_.*|icu_.*|st_.*|variant_.*|create_sort_key|stats|vector_type|get_type|make_type|cast_to_type|replace_type|remap_struct|combine|finalize|is_histogram_other_bin|sum_no_overflow|test_.*|current_query)$/,
};
