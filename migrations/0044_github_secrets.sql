-- Incoming webhooks: the secret with which GitHub signs deliveries, sealed. Null: the URL is enough.
alter table webhooks add column github_secret bytea;
