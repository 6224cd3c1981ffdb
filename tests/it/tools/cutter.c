/* Runs a program and kills it, all its threads at once, right before its Nth system call that writes to a file, a directory or a
 * socket: cutter N REPORT PROGRAM ARGUMENT... With N = 0 nobody is killed. REPORT gets how many such calls there were, and the number of the
 * last one. Exits with the program's code, or 137 if it was killed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether a descriptor is one that a waker writes to: no file, no socket. */
static int is_internal(pid_t pid, unsigned long fd) {
    char name[64], target[32];
    snprintf(name, sizeof name, "/proc/%d/fd/%lu", (int)pid, fd);
    ssize_t n = readlink(name, target, sizeof target - 1);
    if (n < 0)
        return 0;
    target[n] = 0;
    return fd < 3 || strncmp(target, "anon_inode:", 11) == 0 || strncmp(target, "pipe:", 5) == 0;
}

static int writes(pid_t pid, unsigned long nr, const __uint64_t *args) {
    switch (nr) {
    case SYS_write: case SYS_writev: case SYS_pwrite64: case SYS_pwritev: case SYS_pwritev2:
    case SYS_sendto: case SYS_sendmsg:
        return !is_internal(pid, args[0]);
    case SYS_connect: case SYS_shutdown:
    case SYS_fsync: case SYS_fdatasync: case SYS_ftruncate: case SYS_fallocate:
    case SYS_renameat: case SYS_renameat2: case SYS_unlinkat: case SYS_mkdirat: case SYS_linkat: case SYS_fchmod: case SYS_fchmodat:
#ifdef SYS_rename
    case SYS_rename: case SYS_unlink: case SYS_rmdir: case SYS_mkdir: case SYS_link: case SYS_chmod:
#endif
        return 1;
    case SYS_openat:
        return (args[2] & O_CREAT) != 0;
#ifdef SYS_open
    case SYS_open:
        return (args[1] & O_CREAT) != 0;
#endif
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    long limit = atol(argv[1]), count = 0;
    unsigned long last = 0;
    int code = 1, status;
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) {
            perror("ptrace");
            _exit(126);
        }
        raise(SIGSTOP);
        execvp(argv[3], argv + 3);
        perror(argv[3]);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return 126;
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options)) {
        perror("ptrace");
        return 126;
    }
    ptrace(PTRACE_SYSCALL, child, 0, 0);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (pid < 0)
            continue;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == child)
                code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            signal = 0;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY &&
                writes(pid, info.entry.nr, info.entry.args) && (limit == 0 || count < limit)) {
                count++;
                last = info.entry.nr;
                if (count == limit)
                    kill(child, SIGKILL);
            }
        } else if (signal == SIGTRAP || signal == SIGSTOP) {
            /* An exec, or a new thread. */
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, pid, 0, signal);
    }
    FILE *report = fopen(argv[2], "w");
    if (!report)
        return 126;
    fprintf(report, "%ld %lu\n", count, last);
    fclose(report);
    return code;
}
