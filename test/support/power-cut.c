/*
 * Records what a process asks of the disk, for a test to replay as if the power had been cut (power-cut.ts). Preloaded:
 *
 *     cc -shared -fPIC -O1 -o power-cut.so power-cut.c -ldl
 *     POWER_CUT_FOLDER=/watched POWER_CUT_JOURNAL=/journal LD_PRELOAD=power-cut.so node …
 *
 * A record: kind (1 byte), flag (1 byte), inode, offset, lengths of path and data (uint64, little-endian), path, data.
 *     E  a name and its inode: made, or opened with O_CREAT     M  the same of a folder
 *     W  bytes written; flag 1: by O_DSYNC                      T  truncated to the offset
 *     S  fsync or fdatasync has returned                        R  renamed: path, and in data the new one
 *     L  linked, as R                                           U  name removed
 *     A  written to standard output: what the process says that it has done
 * POWER_CUT_FAIL=n: the nth write by O_DSYNC fails with EIO, and writes nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static const char *folder;
static int fails_at, dsync_writes;

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("POWER_CUT_JOURNAL");
  folder = getenv("POWER_CUT_FOLDER");
  if (getenv("POWER_CUT_FAIL")) fails_at = atoi(getenv("POWER_CUT_FAIL"));
  if (path && folder) journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

#define REAL(name, result, ...) \
  static result (*real)(__VA_ARGS__); \
  if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int watched(const char *path) { return journal >= 0 && path && !strncmp(path, folder, strlen(folder)); }

static void emit(char kind, char flag, uint64_t inode, uint64_t offset, const char *path, const struct iovec *parts, int count) {
  int saved = errno;
  uint64_t path_length = path ? strlen(path) : 0, length = 0;
  for (int i = 0; i < count; i++) length += parts[i].iov_len;
  char head[34] = {kind, flag};
  memcpy(head + 2, &inode, 8);
  memcpy(head + 10, &offset, 8);
  memcpy(head + 18, &path_length, 8);
  memcpy(head + 26, &length, 8);
  pthread_mutex_lock(&lock);
  syscall(SYS_write, journal, head, sizeof head);
  if (path_length) syscall(SYS_write, journal, path, path_length);
  for (int i = 0; i < count; i++)
    for (size_t done = 0; done < parts[i].iov_len;) {
      long n = syscall(SYS_write, journal, (char *)parts[i].iov_base + done, parts[i].iov_len - done);
      if (n <= 0) abort();
      done += n;
    }
  pthread_mutex_unlock(&lock);
  errno = saved;
}

static uint64_t inode_at(const char *path) {
  struct stat found;
  return stat(path, &found) ? 0 : found.st_ino;
}

/* Whether the file is one to record; a folder counts too. */
static int known(int fd, struct stat *found) {
  char link[64], path[4096];
  if (journal < 0 || fstat(fd, found) || !(S_ISREG(found->st_mode) || S_ISDIR(found->st_mode))) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return watched(path);
}

static void written(int fd, off_t offset, const struct iovec *parts, int count, ssize_t done) {
  struct stat found;
  if (done <= 0) return;
  if (fd == 1 && journal >= 0) return emit('A', 0, 0, 0, NULL, parts, count);
  if (!known(fd, &found)) return;
  if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - done;
  int is_dsync = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
  struct iovec cut[1024];
  int used = 0;
  for (size_t left = done; used < count && left > 0; used++) {
    cut[used] = parts[used];
    if (cut[used].iov_len > left) cut[used].iov_len = left;
    left -= cut[used].iov_len;
  }
  emit('W', is_dsync, found.st_ino, offset, NULL, cut, used);
}

static int fails(int fd) {
  struct stat found;
  if (!fails_at || !known(fd, &found) || !(fcntl(fd, F_GETFL) & O_DSYNC)) return 0;
  if (__sync_add_and_fetch(&dsync_writes, 1) != fails_at) return 0;
  errno = EIO;
  return 1;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(#name, int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    int mode = va_arg(rest, int); \
    va_end(rest); \
    int fd = real(path, flags, mode); \
    if (fd >= 0 && (flags & O_CREAT) && watched(path)) emit('E', 0, inode_at(path), 0, path, NULL, 0); \
    return fd; \
  }
OPEN(open)
OPEN(open64)

#define WRITE_AT(name) \
  ssize_t name(int fd, const void *bytes, size_t length, off_t offset) { \
    REAL(#name, ssize_t, int, const void *, size_t, off_t); \
    if (fails(fd)) return -1; \
    ssize_t done = real(fd, bytes, length, offset); \
    struct iovec part = {(void *)bytes, done > 0 ? done : 0}; \
    written(fd, offset, &part, 1, done); \
    return done; \
  }
WRITE_AT(pwrite)
WRITE_AT(pwrite64)

#define WRITE_PARTS_AT(name) \
  ssize_t name(int fd, const struct iovec *parts, int count, off_t offset) { \
    REAL(#name, ssize_t, int, const struct iovec *, int, off_t); \
    ssize_t done = real(fd, parts, count, offset); \
    written(fd, offset, parts, count, done); \
    return done; \
  }
WRITE_PARTS_AT(pwritev)
WRITE_PARTS_AT(pwritev64)

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL("write", ssize_t, int, const void *, size_t);
  ssize_t done = real(fd, bytes, length);
  struct iovec part = {(void *)bytes, done > 0 ? done : 0};
  written(fd, -1, &part, 1, done);
  return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL("writev", ssize_t, int, const struct iovec *, int);
  ssize_t done = real(fd, parts, count);
  written(fd, -1, parts, count, done);
  return done;
}

#define SYNC(name) \
  int name(int fd) { \
    REAL(#name, int, int); \
    struct stat found; \
    int result = real(fd); \
    if (!result && known(fd, &found)) emit('S', 0, found.st_ino, 0, NULL, NULL, 0); \
    return result; \
  }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name) \
  int name(int fd, off_t length) { \
    REAL(#name, int, int, off_t); \
    struct stat found; \
    int result = real(fd, length); \
    if (!result && known(fd, &found)) emit('T', 0, found.st_ino, length, NULL, NULL, 0); \
    return result; \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

int mkdir(const char *path, mode_t mode) {
  REAL("mkdir", int, const char *, mode_t);
  int result = real(path, mode);
  if (!result && watched(path)) emit('M', 0, inode_at(path), 0, path, NULL, 0);
  return result;
}

#define TWO_NAMES(name, kind) \
  int name(const char *from, const char *to) { \
    REAL(#name, int, const char *, const char *); \
    uint64_t inode = journal >= 0 ? inode_at(from) : 0; \
    int result = real(from, to); \
    struct iovec part = {(void *)to, strlen(to)}; \
    if (!result && watched(to)) emit(kind, 0, inode, 0, from, &part, 1); \
    return result; \
  }
TWO_NAMES(rename, 'R')
TWO_NAMES(link, 'L')

#define REMOVE(name) \
  int name(const char *path) { \
    REAL(#name, int, const char *); \
    int result = real(path); \
    if (!result && watched(path)) emit('U', 0, 0, 0, path, NULL, 0); \
    return result; \
  }
REMOVE(unlink)
REMOVE(rmdir)
