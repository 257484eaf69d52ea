-- SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
-- strings.lua NUMBER: that many strings of up to 200 KB
local kept = {}
for i = 1, tonumber(arg[1]) do kept[i] = string.rep(string.char(97 + i % 26), 1000 * (i % 200 + 1)) .. i end
print("READY")
io.stdout:flush()
io.read("*a")
