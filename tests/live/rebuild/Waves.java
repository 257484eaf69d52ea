/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.Random;

/** Arrays that come and go in waves, checked; as programs.c. */
public final class Waves {
	private static final int BLOCKS = 12000;
	private static final byte[][] blocks = new byte[BLOCKS][];
	private static final Random random = new Random(1);

	private static void step() {
		int i = random.nextInt(BLOCKS);
		byte[] block = new byte[16 << random.nextInt(13)];
		Arrays.fill(block, (byte) i);
		blocks[i] = block;
	}

	private static int wrong() {
		int i = random.nextInt(BLOCKS);
		if (blocks[i] == null) {
			return 0;
		}
		for (byte value : blocks[i]) {
			if (value != (byte) i) {
				return 1;
			}
		}
		return 0;
	}

	public static void main(String[] arguments) throws Exception {
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		for (int i = 0; i < 40 * BLOCKS; i++) {
			step();
		}
		System.out.println("ready");
		long rounds = 0, wrong = 0;
		while (in.readLine() != null) {
			System.out.println(rounds + " " + wrong);
			for (long ends = System.nanoTime() + 100_000_000L; System.nanoTime() < ends; rounds++) {
				step();
				wrong += wrong();
			}
		}
	}
}
