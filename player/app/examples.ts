/** Questions to begin with. The first is the one that Mutoscope was built for. */
export const EXAMPLES: readonly { name: string; sql: string }[] = [
  {
    name: 'Who clicked a disabled control and left?',
    sql: `-- Sessions that clicked a disabled control at step 2 and never finished.
SELECT session_id,
       count(*) AS clicks,
       min(ts) AS first_click,
       replay_url(session_id, min(ts)) AS replay_url
FROM disabled_clicks
WHERE url LIKE '%/signup/step-2%'
  AND session_id NOT IN (SELECT session_id FROM pages WHERE url LIKE '%/signup/done%')
GROUP BY session_id
ORDER BY clicks DESC`,
  },
  {
    name: 'Did the fix help?',
    sql: `-- How many of those who began finished, with and without the fix.
WITH began AS (
  SELECT session_id, bool_or(props->>'$.fix' = 'true') AS fix
  FROM custom_events WHERE name = 'variant'
  GROUP BY session_id
), done AS (
  SELECT DISTINCT session_id FROM pages WHERE url LIKE '%/signup/done%'
)
SELECT fix,
       count(*) AS sessions,
       count(done.session_id) AS finished,
       round(100.0 * count(done.session_id) / count(*), 1) AS percent
FROM began LEFT JOIN done ON done.session_id = began.session_id
GROUP BY fix
ORDER BY fix`,
  },
  {
    name: 'Where do visitors rage?',
    sql: `SELECT url, text, count(DISTINCT session_id) AS sessions, count(*) AS rage_clicks
FROM rage_clicks
GROUP BY url, text
ORDER BY sessions DESC
LIMIT 50`,
  },
  {
    name: 'Errors, with the moment they happened',
    sql: `SELECT session_id, ts, name AS message, url
FROM errors
ORDER BY ts DESC
LIMIT 100`,
  },
  {
    name: 'Pages by time spent',
    sql: `SELECT url, count(*) AS views, count(DISTINCT session_id) AS sessions,
       round(median(duration_s), 1) AS median_s
FROM pages
GROUP BY url
ORDER BY median_s DESC
LIMIT 50`,
  },
  {
    name: 'Longest sessions today',
    sql: `SELECT session_id, started_at, duration_s, pages, clicks, browser, os
FROM sessions
WHERE started_at >= current_date
ORDER BY duration_s DESC
LIMIT 50`,
  },
];
