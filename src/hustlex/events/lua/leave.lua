-- events.leave: these members are at a channel no more.
-- EFFECT idempotent
-- KEYS people      zset  <prefix>ev:{<name>}:p   as in events.enter
-- KEYS infos       hash  <prefix>ev:{<name>}:pi  as in events.enter
-- KEYS users       hash  <prefix>ev:{<name>}:pu  as in events.enter
-- ARGV members...  str   their ids
-- REPLY {0}
-- @include forget_members
forget_members(people, infos, users, ARGV)
return {0}
