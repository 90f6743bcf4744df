-- The UTC date of a Unix second, as YYYY-MM-DD (Howard Hinnant's days-to-civil).
local function utc_day(unix_s)
  local shifted = math.floor(unix_s / 86400) + 719468
  local era = math.floor(shifted / 146097)
  local day = shifted - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local from_march = math.floor((5 * day + 2) / 153)
  day = day - math.floor((153 * from_march + 2) / 5) + 1
  local month = from_march < 10 and from_march + 3 or from_march - 9
  if month <= 2 then year = year + 1 end
  return string.format('%04.0f-%02.0f-%02.0f', year + era * 400, month, day)
end
