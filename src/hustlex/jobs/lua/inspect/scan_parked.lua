-- jobs.scan_parked: some messages that were set aside because nobody could decode them. Costs the same however many there are.
-- EFFECT read
-- KEYS parked  hash  asynq:{<queue>}:x:parked  message by id
-- ARGV cursor  text  0: from the first
-- ARGV count   int   about so many
-- ARGV most    int   bytes of each that are told
-- REPLY {1, cursor, number, rows}  cursor: of those that follow, 0 = none; number: of all; rows: id, size, begin
local page = redis.call('HSCAN', parked, cursor, 'COUNT', count)
local reply = {1, page[1], redis.call('HLEN', parked)}
for n = 1, #page[2], 2 do
  reply[#reply + 1] = page[2][n]
  reply[#reply + 1] = #page[2][n + 1]
  reply[#reply + 1] = string.sub(page[2][n + 1], 1, tonumber(most))
end
return reply
