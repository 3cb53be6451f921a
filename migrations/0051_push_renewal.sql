-- A browser that replaces its subscription names the old one.
create index push_subscriptions_endpoint on push_subscriptions using hash (endpoint);
