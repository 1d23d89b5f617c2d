/* A disk that can be watched, slowed and broken: preloaded into a ledgerd by tests/integration/disk_shim.py.
 *
 * PAXLEDGER_SHIM_CONTROL names a file of 64 little-endian words of 8 bytes, shared with the test (enum below).
 * PAXLEDGER_SHIM_TRACE   names a file that gets a line per event of a write-ahead log:
 *     W file offset bytes begin end        a write that returned
 *     S file offset begin end              a sync that returned 0; it covers what was written before `begin`: `offset` bytes
 *     F file offset begin end              a sync that was made to fail
 * Times are CLOCK_MONOTONIC in nanoseconds. PAXLEDGER_SHIM_DIR: files below it are watched, all others are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum Word {
  kLogSyncs = 0,    /* of write-ahead logs that returned 0 */
  kOtherSyncs = 1,  /* of all other files below the folder */
  kLogWrites = 2,
  kFailedSyncs = 3,
  kRefusedWrites = 4,
  kSyncDelayUs = 16, /* each sync takes that much longer */
  kFailSyncs = 17,   /* so many syncs of write-ahead logs fail with EIO, later ones succeed */
  kRefuseWrites = 18 /* not 0: writes fail with ENOSPC */
};

enum Kind { kForeign = 0, kLog = 1, kOther = 2 };
#define FILES_MAX 65536

struct File {
  atomic_int kind;
  _Atomic uint64_t offset;
  char name[32];
};

static struct File files[FILES_MAX];
static _Atomic uint64_t no_control[64];
static _Atomic uint64_t* control = no_control;
static int trace_fd = -1;
static const char* folder = "";

static uint64_t Now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((constructor)) static void Start(void) {
  const char* path = getenv("PAXLEDGER_SHIM_CONTROL");
  const char* below = getenv("PAXLEDGER_SHIM_DIR");
  const char* trace = getenv("PAXLEDGER_SHIM_TRACE");
  if (path == NULL || below == NULL || trace == NULL) return;
  folder = below;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) abort();
  void* at = mmap(NULL, 64 * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) abort();
  control = at;
  syscall(SYS_close, fd);
  trace_fd = (int)syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static struct File* Watched(int fd) {
  if (fd < 0 || fd >= FILES_MAX || atomic_load(&files[fd].kind) == kForeign) return NULL;
  return &files[fd];
}

static void Opened(int fd, const char* path) {
  if (fd < 0 || fd >= FILES_MAX) return;
  struct File* file = &files[fd];
  size_t length = strlen(path);
  const char* slash = strrchr(path, '/');
  const char* name = slash == NULL ? path : slash + 1;
  int kind = kForeign;
  if (folder[0] != 0 && strncmp(path, folder, strlen(folder)) == 0) {
    kind = length > 4 && strcmp(path + length - 4, ".log") == 0 ? kLog : kOther;
  }
  snprintf(file->name, sizeof file->name, "%s", name);
  atomic_store(&file->offset, 0);
  atomic_store(&file->kind, kind);
}

static void Trace(const char* format, ...) {
  char line[160];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (trace_fd >= 0) syscall(SYS_write, trace_fd, line, (size_t)length);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  int fd = NEXT(open)(path, flags, mode);
  Opened(fd, path);
  return fd;
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  int fd = NEXT(open64)(path, flags, mode);
  Opened(fd, path);
  return fd;
}

int close(int fd) {
  if (fd >= 0 && fd < FILES_MAX) atomic_store(&files[fd].kind, kForeign);
  return NEXT(close)(fd);
}

static int Refused(const struct File* file) {
  if (file == NULL || control[kRefuseWrites] == 0) return 0;
  control[kRefusedWrites]++;
  errno = ENOSPC;
  return 1;
}

static void Wrote(struct File* file, ssize_t bytes, uint64_t begin) {
  if (file == NULL || bytes <= 0) return;
  uint64_t at = atomic_fetch_add(&file->offset, (uint64_t)bytes);
  if (atomic_load(&file->kind) != kLog) return;
  control[kLogWrites]++;
  Trace("W %s %lu %ld %lu %lu\n", file->name, at, bytes, begin, Now());
}

ssize_t write(int fd, const void* data, size_t bytes) {
  struct File* file = Watched(fd);
  if (Refused(file)) return -1;
  uint64_t begin = file == NULL ? 0 : Now();
  ssize_t done = NEXT(write)(fd, data, bytes);
  Wrote(file, done, begin);
  return done;
}

ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) {
  if (Refused(Watched(fd))) return -1;
  return NEXT(pwrite)(fd, data, bytes, at);
}

ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t at) {
  if (Refused(Watched(fd))) return -1;
  return NEXT(pwrite64)(fd, data, bytes, at);
}

static int TakeFailure(void) {
  uint64_t left = control[kFailSyncs];
  while (left > 0) {
    if (atomic_compare_exchange_weak(&control[kFailSyncs], &left, left - 1)) return 1;
  }
  return 0;
}

static int Sync(int fd, int (*next)(int)) {
  struct File* file = Watched(fd);
  if (file == NULL) return next(fd);
  uint64_t covered = atomic_load(&file->offset);
  uint64_t begin = Now();
  int log = atomic_load(&file->kind) == kLog;
  uint64_t delay_us = control[kSyncDelayUs];
  if (delay_us > 0) {
    struct timespec pause = {(time_t)(delay_us / 1000000u), (long)(delay_us % 1000000u) * 1000};
    nanosleep(&pause, NULL);
  }
  if (log && TakeFailure()) {
    control[kFailedSyncs]++;
    Trace("F %s %lu %lu %lu\n", file->name, covered, begin, Now());
    errno = EIO;
    return -1;
  }
  int result = next(fd);
  if (result != 0) return result;
  control[log ? kLogSyncs : kOtherSyncs]++;
  if (log) Trace("S %s %lu %lu %lu\n", file->name, covered, begin, Now());
  return 0;
}

int fsync(int fd) { return Sync(fd, NEXT(fsync)); }
int fdatasync(int fd) { return Sync(fd, NEXT(fdatasync)); }
