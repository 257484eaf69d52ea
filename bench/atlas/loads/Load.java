// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Load KIND NUMBER: waves (of MiB), threads (that wait), virtual (threads; 21 and later). READY when
 * it stands.
 */
public class Load {
	static List<byte[]> kept = new ArrayList<>();

	static void waiting() {
		try {
			Thread.sleep(Long.MAX_VALUE);
		} catch (InterruptedException e) {
			return;
		}
	}

	public static void main(String[] words) throws Exception {
		int number = Integer.parseInt(words[1]);
		if (words[0].equals("threads")) {
			for (int i = 0; i < number; i++) {
				Thread thread = new Thread(Load::waiting);
				thread.setDaemon(true);
				thread.start();
			}
		} else if (words[0].equals("virtual")) {
			// by reflection, so that older compilers take it
			Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
			Method start = Class.forName("java.lang.Thread$Builder").getMethod("start", Runnable.class);
			for (int i = 0; i < number; i++)
				start.invoke(builder, (Runnable) Load::waiting);
		} else {
			Random random = new Random(1);
			for (int wave = 0; wave < 6; wave++) {
				long size = 0;
				kept.clear();
				while (size < (long) number << 19) {
					byte[] block = new byte[16 + random.nextInt(1 << 14)];
					size += block.length;
					kept.add(block);
				}
			}
		}
		System.out.println("READY");
		while (System.in.read() > 0)
			;
		System.exit(0);
	}
}
