-- Searching what was said: by words, and by letters inside of words, in any
-- language. Both indexes collect new entries in a list of their own first
-- (fastupdate), so that sending does not wait for them.

create extension if not exists pg_trgm;

-- 'simple' keeps every word as it is written: there is no one language here.
create function search_words(content text) returns tsvector
language sql immutable parallel safe
return to_tsvector('simple', content);

-- What people write into a search box. The last word may be unfinished. Nothing
-- but operators finds nothing.
create function search_query(input text) returns tsquery
language sql immutable parallel safe
return case websearch_to_tsquery('simple', input)::text
    when '' then ''::tsquery
    else (websearch_to_tsquery('simple', input)::text || ':*')::tsquery
end;

create index messages_words on messages using gin (search_words(content)) where deleted_at is null;
create index messages_letters on messages using gin (content gin_trgm_ops) where deleted_at is null;
