/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/fdpass.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static TR_RC send_tag(int sock, uint8_t tag, int fd, struct tr_err *err)
{
	struct iovec iov = { &tag, 1 };
	union control c = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *h;

		m.msg_control = c.bytes;
		m.msg_controllen = sizeof(c.bytes);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == 1 ? TR_OK : tr_err_errno(err, "send tag %c", tag);
}

TR_RC tr_fd_send(int sock, uint8_t tag, int fd, struct tr_err *err)
{
	return send_tag(sock, tag, fd, err);
}

TR_RC tr_fd_tell(int sock, uint8_t tag, struct tr_err *err)
{
	return send_tag(sock, tag, -1, err);
}

TR_RC tr_fd_recv(int sock, uint8_t *ret_tag, int *ret_fd, struct tr_err *err)
{
	uint8_t tag = 0;
	struct iovec iov = { &tag, 1 };
	union control c = { 0 };
	/* Without the padding there is room for one descriptor only: the kernel closes any other. */
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.bytes,
			    .msg_controllen = CMSG_LEN(sizeof(int)) };
	struct cmsghdr *h;
	ssize_t n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return tr_err_set(err, TR_E_BUSY, "nothing to receive", "fd channel is empty");
	if (n <= 0)
		return tr_err_set(err, TR_E_UNAVAIL, "the supervisor is gone", "fd channel ended");
	*ret_tag = tag;
	*ret_fd = -1;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(h), sizeof(int));
	return TR_OK;
}
