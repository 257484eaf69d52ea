// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// held FILE: one thread touches a page of FILE; once stdin says so, another one maps something,
// and waits for mmap_lock while the first one keeps it (holder.py).
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile char *page;

static void *touch(void *unused __attribute__((unused)))
{
	return (void *)(long)*page;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char byte;
	int file = argc > 1 ? open(argv[1], O_RDONLY) : -1;

	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	if (page == MAP_FAILED || pthread_create(&thread, NULL, touch, NULL) != 0)
		return 1;
	if (read(0, &byte, 1) == 1)
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (;;)
		pause();
}
