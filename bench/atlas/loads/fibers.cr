# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# fibers NUMBER: that many fibers, asleep
ARGV[0].to_i.times { spawn { sleep 1000000 } }
Fiber.yield
puts "READY"
STDOUT.flush
STDIN.gets_to_end
