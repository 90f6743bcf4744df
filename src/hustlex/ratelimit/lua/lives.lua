-- A windowed count's value: LIFE * which life of the caller's mark it belongs to + units. Lives begin at 0, and only a
-- clock that was set back begins another; so a value is a plain number of units as a rule.
-- The mark's: LIFE * the life + the start of the newest of windows in a row, seconds.
local LIFE, LIVES = 10000000000000, 900

local function newest(mark) return mark and mark % LIFE or 0 end

local function born(mark) return mark and mark - mark % LIFE or 0 end

-- Units of the mark's life.
local function of_life(mark, value)
  local units = (value or 0) - born(mark)
  return units >= 0 and units < LIFE and units or 0
end
