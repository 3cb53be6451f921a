-- Formats a time for the wire: RFC 3339, UTC, microseconds.

create function to_rfc3339(t timestamptz) returns text
language sql stable parallel safe
return to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
