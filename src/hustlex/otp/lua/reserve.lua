-- otp.reserve: take one unit of a scope for a message that may be sent, unless breaker, cap or budget forbid it.
-- EFFECT once
-- KEYS meter        hash  otp:{<scope>:<ref>}:cap, as {cc:NG}, {pfx:2348031}, {blk:<ref>}: see meter.lua
-- ARGV now_ms       int   0: the server's clock
-- ARGV keep_ms      int   life of the key from now on
-- ARGV way          text  known: only money counts; credit: past the breaker; human: a human check was passed; or empty
-- ARGV most         int   units in a window
-- ARGV more         int   and so many in a hundred of the codes that were verified here in such a window
-- ARGV window_ms    int   the cap's window
-- ARGV member       text  stand-in of the number where distinct ones are counted, else empty
-- ARGV least        int   breaker: fewest messages of an hour to judge by
-- ARGV few          int   breaker: so many messages an hour a suspect scope shows to wider ones
-- ARGV percent      int   breaker: conversion below which it slows down
-- ARGV gap_ms       int   breaker: between two messages then
-- ARGV probes       int   breaker: messages at once behind a human check, and one for each code verified in the hour
-- ARGV young        int   breaker: newest buckets not to judge yet
-- ARGV guess_ms     int   window of the guess counts
-- ARGV price        int   of one message
-- ARGV budget       int   of one UTC day; 0: no end
-- REPLY {1, at, before, probe, strong, spent, standing}   taken, ms; the number's last time; 1, 2: a probe, 2 behind a
--                   human check; 1: longer codes; money; 2: in credit, 1: suspect, 0: neither
-- REPLY {2, rest}   the cap is reached, ms
-- REPLY {3, rest, helps}   the breaker, ms until one passes; 1: a human check would let it pass now
-- REPLY {5, rest}   the day's budget is spent, ms
-- @include clock
-- @include meter
-- @include breaker
-- @include reopen
-- @include cap
local now, window, gap = clock(now_ms), tonumber(window_ms), tonumber(gap_ms)
local windows = {c = window, s = HOUR, v = HOUR, k = HOUR, x = tonumber(guess_ms), y = tonumber(guess_ms)}
local fields, free, trial = read_meter(meter), way == 'known', 0
settle(meter, fields, now, windows)
if not free then
  local shut = bad(fields, now, tonumber(least), tonumber(percent), tonumber(young))
  if fields.next and not shut then reopen(meter) end
  if shut and way ~= 'credit' then
    local rest, behind = probe_rests(meter, fields, now, gap, probes + total(fields, 'v', bucket(now, HOUR), 0))
    trial = rest == 0 and 1 or way == 'human' and behind == 0 and 2 or 0
    redis.call('PEXPIRE', meter, keep_ms)
    if trial == 0 then return {3, way == 'human' and math.min(rest, behind) or rest, behind == 0 and 1 or 0} end
  end
  local rest = cap_rest(fields, member, now, window, most + grown(fields, now, window, tonumber(more)))
  if rest > 0 then return {2, rest} end
end
local day, spent = math.floor(now / DAY), price + 0
if fields.day == day then spent = spent + fields.spent end
if tonumber(budget) > 0 and spent > tonumber(budget) then return {5, (day + 1) * DAY - now} end

sweep(meter, fields, now, windows)
if member ~= '' then redis.call('HSET', meter, 'n' .. member, now) end
if member == '' and not free then count(meter, 'c', now, window, 1) end
if tonumber(price) > 0 then redis.call('HSET', meter, 'day', day, 'spent', spent) end
if trial > 0 then note_probe(meter, fields, now, gap, trial) end
redis.call('PEXPIRE', meter, keep_ms)
local strong = not free and (fields.guess or 0) > now and 1 or 0
local rank = standing(fields, now, tonumber(few), tonumber(percent))
return {1, now, fields['n' .. member] or 0, trial, strong, spent, rank}
