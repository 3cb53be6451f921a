-- A secret that only the servers of this database know. With it they sign the data that
-- they exchange through Redis.

create table cluster_key (
    id boolean primary key default true check (id),
    secret  bytea not null default decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);
insert into cluster_key default values;
