/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over its stored corpus: the whole corpus in every test run, without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;
	uint8_t *exact;

	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	/* An exact heap copy, so that a sanitizer sees a read past the end. */
	exact = malloc(n ? n : 1);
	if (!exact)
		return 1;
	memcpy(exact, bytes, n);
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *e;

		if (!dir) {
			(void)fprintf(stderr, "no corpus folder %s\n", argv[i]);
			return 1;
		}
		while ((e = readdir(dir)) != NULL) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			(void)snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			if (run_file(path))
				return 1;
			count++;
		}
		(void)closedir(dir);
	}
	(void)printf("%u inputs replayed\n", count);
	/* A corpus that went missing must not look like a corpus that passed. */
	return count == 0;
}
