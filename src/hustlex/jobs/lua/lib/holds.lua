-- Whether a message holds every needle: plain bytes, in ARGV from first to last. folds: capitals count as small letters.
local function holds(message, folds, first, last)
  if folds then message = message:lower() end
  for n = first, last do
    if not message:find(ARGV[n], 1, true) then return false end
  end
  return true
end
