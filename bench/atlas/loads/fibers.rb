# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# fibers.rb NUMBER: that many fibers, yielded
kept = []
ARGV[0].to_i.times do
  fiber = Fiber.new { Fiber.yield 1 }
  fiber.resume
  kept << fiber
end
puts "READY"
$stdout.flush
$stdin.read
