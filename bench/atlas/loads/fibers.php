<?php
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// fibers.php NUMBER: that many fibers, suspended
$kept = [];
for ($i = 0; $i < (int)$argv[1]; $i++) {
	$fiber = new Fiber(function () { Fiber::suspend(1); });
	$fiber->start();
	$kept[] = $fiber;
}
echo "READY\n";
while (fgets(STDIN) !== false);
