/* SPDX-License-Identifier: Apache-2.0 */
/* The test runs copies of itself, and replaces or deletes the copy's file while it runs. */
#include "agent/image.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char dir[] = "/tmp/troth-image-XXXXXX";

static void copy_self(const char *to)
{
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	static char chunk[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, chunk, sizeof(chunk))) > 0)
		assert_int_equal(write(out, chunk, (size_t)n), n);
	close(in);
	close(out);
}

/* In the copy: waits for a byte, so that the parent can change the file first, then reports. */
static int child(const char *disk_path)
{
	struct tr_image im;
	struct tr_err err = { 0 };
	char go;

	if (read(STDIN_FILENO, &go, 1) != 1 || tr_image_read(disk_path, &im, &err))
		return 1;
	return fwrite(&im, sizeof(im), 1, stdout) == 1 && fflush(stdout) == 0 ? 0 : 1;
}

struct running {
	pid_t pid;
	int to, from;
};

static struct running start(const char *path, const char *disk_path)
{
	int to[2], from[2];
	struct running r;

	assert_int_equal(pipe(to) | pipe(from), 0);
	r.pid = fork();
	assert_true(r.pid >= 0);
	if (r.pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		execl(path, path, "child", disk_path, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	/* The file may be changed only when the copy really runs: exec closes nothing we could wait for, so
	 * look. */
	for (int i = 0; i < 500; i++) {
		char link[64], target[PATH_MAX];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/%ld/exe", (long)r.pid);
		n = readlink(link, target, sizeof(target) - 1);
		if (n > 0 && (size_t)n == strlen(path) && memcmp(target, path, (size_t)n) == 0)
			break;
		usleep(10000);
	}
	r.to = to[1];
	r.from = from[0];
	return r;
}

static struct tr_image finish(struct running r)
{
	struct tr_image im;
	size_t at = 0;
	int status;

	assert_int_equal(write(r.to, "g", 1), 1);
	while (at < sizeof(im)) {
		ssize_t n = read(r.from, (char *)&im + at, sizeof(im) - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	close(r.to);
	close(r.from);
	assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
	assert_int_equal(status, 0);
	return im;
}

static void path_of(char *out, const char *name)
{
	snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void the_running_image_is_hashed_whatever_happens_to_its_file(void **state)
{
	static const struct {
		const char *label, *name, *disk_path;
		enum { KEEP, DELETE, REPLACE, SAME_AGAIN } what;
		bool differs, missing;
	} cases[] = {
		{ "untouched", "plain", "", KEEP, false, false },
		{ "deleted", "gone", "", DELETE, true, true },
		{ "replaced", "new", "", REPLACE, true, false },
		{ "replaced by the same bytes", "same", "", SAME_AGAIN, false, false },
		{ "a name that ends as the kernel's mark", "odd (deleted)", "", KEEP, false, false },
		{ "that name, deleted", "odd2 (deleted)", "", DELETE, true, true },
		{ "told another path", "told", "/etc/passwd", KEEP, true, false },
		{ "told a path that is not there", "told2", "/nonexistent/agent", KEEP, true, true },
		{ "told a folder", "told3", "/etc", KEEP, true, true },
	};
	struct tr_image self;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_image_read(NULL, &self, &err), TR_OK);
	assert_true(self.size > 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[PATH_MAX];
		struct running r;
		struct tr_image im;

		path_of(path, cases[i].name);
		copy_self(path);
		r = start(path, cases[i].disk_path);
		if (cases[i].what != KEEP)
			assert_int_equal(unlink(path), 0);
		if (cases[i].what == REPLACE)
			put_file(path, "something else\n");
		if (cases[i].what == SAME_AGAIN)
			copy_self(path);
		im = finish(r);
		if (memcmp(im.hash, self.hash, 32) != 0 || strcmp(im.path, path) != 0 ||
		    im.disk_differs != cases[i].differs || im.disk_missing != cases[i].missing)
			fail_msg("%s: path %s, differs %d, missing %d", cases[i].label, im.path,
				 im.disk_differs, im.disk_missing);
		(void)unlink(path);
	}
}

static void the_disk_hash_is_the_disk_files(void **state)
{
	char path[PATH_MAX];
	struct tr_image im;
	struct tr_err err = { 0 };
	uint8_t want[32];

	(void)state;
	path_of(path, "other");
	put_file(path, "abc");
	tr_sha256(TR_VIEW_LIT("abc"), want);
	assert_int_equal(tr_image_read(path, &im, &err), TR_OK);
	assert_true(im.disk_differs && !im.disk_missing);
	assert_string_equal(im.disk_path, path);
	assert_memory_equal(im.disk_hash, want, 32);
	(void)unlink(path);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_running_image_is_hashed_whatever_happens_to_its_file),
		cmocka_unit_test(the_disk_hash_is_the_disk_files),
	};
	struct tr_err err = { 0 };

	if (tr_crypto_init(&err))
		return 1;
	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return child(argc > 2 ? argv[2] : NULL);
	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
