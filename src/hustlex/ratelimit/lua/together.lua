-- What a call for several subjects answers. keys: of each. first: where ARGV has how many ask for each; none: one each.
-- judge: given how many ask, and where the keys of a subject begin, it answers the line of the first caller, how many
-- pass, and the line that refuses the others.
-- Per subject: the first line (0 also where a key is not of its kind: who asks for it alone is told), and where several
-- ask the other two.
local function together(keys, first, judge)
  local lines, unjudged = {}, '0 ' .. seconds .. ' ' .. micros
  for at = 1, #KEYS, keys do
    local callers = (ARGV[(at - 1) / keys + first] or 1) + 0
    local fine, line, passing, refusal = pcall(judge, callers, at)
    lines[#lines + 1] = fine and line or unjudged
    if callers > 1 then
      lines[#lines + 1] = fine and passing or 0
      lines[#lines + 1] = fine and refusal or unjudged
    end
  end
  return lines
end

-- How many of the callers have room.
local function passing_of(callers, room, cost)
  if callers * cost <= room then return callers end
  return math.max(0, math.floor(room / cost))
end
