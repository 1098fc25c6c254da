/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/fdpass.h"

#include "ipc/spawn.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static int pair[2];
static struct tr_err err;

static int make_pair(void **state)
{
	(void)state;
	return tr_socketpair(pair, &err) ? -1 : 0;
}

static int drop_pair(void **state)
{
	(void)state;
	pair[0] = tr_close(pair[0]);
	pair[1] = tr_close(pair[1]);
	return 0;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void a_descriptor_arrives_with_its_tag(void **state)
{
	tr_auto(tr_close) int fd = -1;
	int given[2];
	uint8_t tag = 0;

	(void)state;
	assert_int_equal(pipe(given), 0);
	assert_int_equal(tr_fd_send(pair[0], 'f', given[1], &err), TR_OK);
	/* The sender may close its own as soon as it is sent. */
	(void)tr_close(given[1]);
	assert_int_equal(tr_fd_recv(pair[1], &tag, &fd, &err), TR_OK);
	assert_int_equal(tag, 'f');
	assert_true(fd >= 0);
	assert_true(same_file(fd, given[0]));
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	(void)tr_close(given[0]);
}

static void messages_keep_their_order_and_their_own_descriptor(void **state)
{
	tr_auto(tr_close) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	tr_auto(tr_close) int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	static const char tags[] = "abc";
	const int sent[] = { null, -1, zero };

	(void)state;
	assert_int_equal(tr_fd_send(pair[0], 'a', null, &err), TR_OK);
	assert_int_equal(tr_fd_tell(pair[0], 'b', &err), TR_OK);
	assert_int_equal(tr_fd_send(pair[0], 'c', zero, &err), TR_OK);
	for (size_t i = 0; i < 3; i++) {
		tr_auto(tr_close) int fd = -2;
		uint8_t tag;

		assert_int_equal(tr_fd_recv(pair[1], &tag, &fd, &err), TR_OK);
		assert_int_equal(tag, tags[i]);
		if (sent[i] < 0)
			assert_int_equal(fd, -1);
		else
			assert_true(same_file(fd, sent[i]));
	}
}

static void an_empty_channel_does_not_block_and_an_ended_one_says_so(void **state)
{
	uint8_t tag = 7;
	int fd = -7;

	(void)state;
	assert_int_equal(tr_fd_recv(pair[1], &tag, &fd, &err), TR_E_BUSY);
	pair[0] = tr_close(pair[0]);
	assert_int_equal(tr_fd_recv(pair[1], &tag, &fd, &err), TR_E_UNAVAIL);
	assert_int_equal(tag, 7); /* written on success only */
	assert_int_equal(fd, -7);
	/* Sending to nobody is an error, not a signal. */
	assert_int_not_equal(tr_fd_tell(pair[1], 'x', &err), TR_OK);
}

static size_t open_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Not of our making; what nobody asked for must not stay open in core, which can open nothing itself. */
static void surplus_descriptors_are_not_kept(void **state)
{
	uint8_t tag = 'm';
	struct iovec iov = { &tag, 1 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} c = { 0 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = sizeof(c.bytes)
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fds[3] = { pair[0], pair[0], pair[0] }, fd = -2;
	size_t before = open_descriptors();

	(void)state;
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(h), fds, sizeof(fds));
	assert_int_equal(sendmsg(pair[0], &m, 0), 1);
	assert_int_equal(tr_fd_recv(pair[1], &tag, &fd, &err), TR_OK);
	assert_int_equal(open_descriptors(), before + 1);
	assert_true(same_file(fd, pair[0]));
	(void)tr_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_descriptor_arrives_with_its_tag, make_pair, drop_pair),
		cmocka_unit_test_setup_teardown(messages_keep_their_order_and_their_own_descriptor, make_pair, drop_pair),
		cmocka_unit_test_setup_teardown(an_empty_channel_does_not_block_and_an_ended_one_says_so, make_pair,
						drop_pair),
		cmocka_unit_test_setup_teardown(surplus_descriptors_are_not_kept, make_pair, drop_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
