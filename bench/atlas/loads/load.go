// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

// Goroutines that wait, and a heap of 1 GiB of which every second stretch is given back.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

var kept [][]byte

func main() {
	wait := make(chan bool)
	for i := 0; i < 10000; i++ {
		go func() { <-wait }()
	}
	for wave := 0; wave < 3; wave++ {
		for i := 0; i < 1<<16; i++ {
			block := make([]byte, 16<<10+i%1024)
			block[0], block[16<<10-1] = 1, 1
			kept = append(kept, block)
		}
		// stretches of 4 MiB, as a cache that expires
		for i := range kept {
			if i>>8%2 == wave%2 {
				kept[i] = nil
			}
		}
		runtime.GC()
		debug.FreeOSMemory()
		time.Sleep(time.Second)
	}
	fmt.Println("READY")
	io.ReadAll(os.Stdin)
}
