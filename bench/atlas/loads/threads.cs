// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
using System;
using System.Collections.Generic;
using System.Threading;

/** 200 threads, each of which has allocated. */
class Load
{
	static void Main(string[] words)
	{
		var done = new CountdownEvent(int.Parse(words[0]));
		for (int i = 0; i < done.InitialCount; i++) {
			var thread = new Thread(() => {
				var kept = new List<byte[]>();
				for (int j = 0; j < 200; j++)
					kept.Add(new byte[1000 + j * 50]);
				done.Signal();
				Thread.Sleep(-1);
				GC.KeepAlive(kept);
			});
			thread.IsBackground = true;
			thread.Start();
		}
		done.Wait();
		Console.WriteLine("READY");
		Console.In.ReadToEnd();
		Environment.Exit(0);
	}
}
