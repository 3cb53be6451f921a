-- A ghost: a user who stands for a person on another network (0042). In a migration of its own,
-- because a new value of an enum can be used only after the commit.

alter type user_kind add value 'ghost';
