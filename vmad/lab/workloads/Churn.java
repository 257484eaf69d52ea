// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Random;

/** Keeps a collector busy: threads that allocate and keep a share of what they allocate. */
public class Churn {
    private static void churn(long blocks, int seed) {
        Random random = new Random(seed);
        ArrayList<byte[]> kept = new ArrayList<>();
        for (long made = 0; made < blocks; made++) {
            byte[] block = new byte[16 + random.nextInt(1 << (4 + random.nextInt(14)))];
            block[0] = 1;
            if (kept.size() < 2000) {
                kept.add(block);
            } else {
                kept.set(random.nextInt(kept.size()), block);
            }
        }
    }

    public static void main(String[] words) throws Exception {
        long blocks = 10_000L * Integer.parseInt(System.getenv("VMAD_LAB_SECONDS"));
        Thread[] threads = new Thread[4];
        for (int i = 0; i < threads.length; i++) {
            int seed = i;
            threads[i] = new Thread(() -> churn(blocks, seed));
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        Path end = Path.of(System.getenv("VMAD_LAB_END"));
        Files.createFile(end);
        while (Files.exists(end)) {
            Thread.sleep(20);
        }
    }
}
