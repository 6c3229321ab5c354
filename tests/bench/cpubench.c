/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cpubench: small pieces of work for scripts/bench-cpu, the same bytes natively and in guests.
 *
 * usage: cpubench WORK... | cpubench --list
 *
 * For each piece it prints "begin NAME" and waits for a line, works, prints "end NAME RESULT"
 * and waits again: who drives it reads the clocks in these pauses. RESULT is what was computed:
 * a CPU that computes something else shows.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t work_int(void)
{
    uint64_t x = 88172645463325252ull, sum = 0;

    for (int i = 0; i < 20000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum += x * 0x9e3779b97f4a7c15ull;
    }
    return sum;
}

static uint64_t work_sieve(void)
{
    enum { N = 2000000 };
    static uint8_t composite[N + 1];
    uint64_t primes = 0;

    for (int round = 0; round < 3; round++) {
        memset(composite, 0, sizeof composite);
        primes = 0;
        for (uint32_t i = 2; i <= N; i++) {
            if (composite[i])
                continue;
            primes++;
            for (uint64_t k = (uint64_t)i * i; k <= N; k += i)
                composite[k] = 1;
        }
    }
    return primes;
}

static uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

static uint64_t work_qsort(void)
{
    enum { N = 100000 };
    static int32_t v[N];
    uint32_t s = 2463534242u;

    for (int i = 0; i < N; i++)
        v[i] = (int32_t)next_random(&s);
    qsort(v, N, sizeof v[0], compare);
    return (uint32_t)v[0] ^ (uint32_t)v[N / 2] ^ (uint32_t)v[N - 1];
}

/* A bytecode machine with one indirect jump for each operation. */
static uint64_t work_vm(void)
{
    enum { ADD, XOR, SHIFT, LOAD, STORE, COUNT, LOOP, END };
    static const uint8_t code[] = {LOAD, ADD, XOR, SHIFT, STORE, ADD, LOAD, XOR, ADD, STORE, COUNT, LOOP, END};
    void *const to[] = {&&add, &&xor, &&shift, &&load, &&store, &&count, &&loop, &&end};
    uint64_t a = 1, mem[8] = {3}, n = 0;
    const uint8_t *p = code;

#define NEXT goto *to[*p++]
    NEXT;
add:
    a += n | 1;
    NEXT;
xor:
    a ^= 0x5bd1e995;
    NEXT;
shift:
    a = a << 3 | a >> 61;
    NEXT;
load:
    a += mem[n & 7];
    NEXT;
store:
    mem[a & 7] = a;
    NEXT;
count:
    n++;
    NEXT;
loop:
    if (n < 1500000)
        p = code;
    NEXT;
end:
#undef NEXT
    return a;
}

static uint64_t work_x87(void)
{
    volatile long double one = 1.0L;
    long double sum = 0, x = one;

    for (int i = 1; i < 3000000; i++) {
        sum += x / ((long double)i * (long double)i);
        x = -x;
    }
    return (uint64_t)(sum * 1e15L);
}

struct body {
    double x[3], v[3], m;
};

static void advance(struct body *b, int n, double dt)
{
    for (int i = 0; i < n; i++) {
        for (int k = i + 1; k < n; k++) {
            double d[3], r2 = 0.01, f;

            for (int a = 0; a < 3; a++) {
                d[a] = b[i].x[a] - b[k].x[a];
                r2 += d[a] * d[a];
            }
            f = dt / (r2 * __builtin_sqrt(r2));
            for (int a = 0; a < 3; a++) {
                b[i].v[a] -= d[a] * b[k].m * f;
                b[k].v[a] += d[a] * b[i].m * f;
            }
        }
        for (int a = 0; a < 3; a++)
            b[i].x[a] += dt * b[i].v[a];
    }
}

__attribute__((optimize("no-tree-vectorize"))) static uint64_t work_fp(void)
{
    struct body b[5];
    double sum = 0;

    for (int i = 0; i < 5; i++)
        for (int a = 0; a < 3; a++)
            b[i] = (struct body){{i * 1.5, i * -0.7 + a, i * 0.3}, {0.1 * i, 0.2, -0.1 * i}, 1.0 + i};
    for (int i = 0; i < 100000; i++)
        advance(b, 5, 0.001);
    for (int i = 0; i < 5; i++)
        sum += b[i].x[0] + b[i].v[1];
    return (uint64_t)(int64_t)(sum * 1e9);
}

typedef float vec __attribute__((vector_size(16)));

static uint64_t work_sse(void)
{
    static vec v[1024];
    vec k = {1.0001f, 0.9999f, 1.0002f, 0.9998f}, add = {0.001f, -0.001f, 0.002f, -0.002f};
    float sum = 0;

    for (int i = 0; i < 1024; i++)
        v[i] = (vec){(float)i, 1, 2, (float)-i};
    for (int round = 0; round < 12000; round++)
        for (int i = 0; i < 1024; i++)
            v[i] = v[i] * k + add;
    for (int i = 0; i < 1024; i++)
        sum += v[i][0] + v[i][3];
    return (uint64_t)(int64_t)sum;
}

enum { BUF = 1 << 20 };
static uint8_t from[BUF], to[BUF];

static uint64_t work_memcpy(void)
{
    for (int i = 0; i < 400; i++) {
        from[i] = (uint8_t)i;
        memcpy(to, from, BUF);
        asm volatile("" ::: "memory");
    }
    return to[399];
}

static uint64_t work_repmovs(void)
{
    for (int i = 0; i < 6000; i++) {
        void *d = to, *s = from;
        size_t n = 65536 / 8;

        asm volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n)::"memory");
    }
    return to[65535];
}

static uint64_t work_copy8(void)
{
    for (int i = 0; i < 100; i++) {
        const uint64_t *s = (const uint64_t *)from;
        uint64_t *d = (uint64_t *)to;

        for (int k = 0; k < BUF / 8; k++) {
            d[k] = s[k];
            asm volatile("" ::: "memory");
        }
    }
    return to[77];
}

static uint64_t work_chase(void)
{
    enum { PAGES = 8192, STEPS = 3000000 };
    uint8_t *mem = mmap(NULL, PAGES * 4096ul, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t s = 7, *order = malloc(PAGES * sizeof *order);
    void **p;

    for (uint32_t i = 0; i < PAGES; i++)
        order[i] = i;
    for (uint32_t i = PAGES - 1; i > 0; i--) {
        uint32_t k = next_random(&s) % (i + 1), t = order[i];

        order[i] = order[k];
        order[k] = t;
    }
    for (uint32_t i = 0; i < PAGES; i++)
        *(void **)(mem + order[i] * 4096ul + order[i] % 64 * 64) =
            mem + order[(i + 1) % PAGES] * 4096ul + order[(i + 1) % PAGES] % 64 * 64;
    p = (void **)(mem + order[0] * 4096ul + order[0] % 64 * 64);
    for (int i = 0; i < STEPS; i++)
        p = *p;
    s = (uint32_t)((uint8_t *)p - mem);
    munmap(mem, PAGES * 4096ul);
    free(order);
    return s;
}

static uint64_t work_syscall(void)
{
    uint64_t n = 0;

    for (int i = 0; i < 300000; i++)
        n += syscall(SYS_getppid) >= 0;
    return n;
}

static uint64_t run_many(char *const argv[], int times)
{
    uint64_t good = 0;
    int status;

    for (int i = 0; i < times; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            execv(argv[0], argv);
            _exit(127);
        }
        good += pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

static uint64_t work_forkexec(void)
{
    return run_many((char *const[]){"/proc/self/exe", "--nothing", NULL}, 300);
}

static uint64_t work_fault(void)
{
    enum { BYTES = 16 << 20 };
    uint64_t sum = 0;

    for (int i = 0; i < 6; i++) {
        uint8_t *m = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        madvise(m, BYTES, MADV_NOHUGEPAGE);
        for (int k = 0; k < BYTES; k += 4096)
            sum += ++m[k];
        munmap(m, BYTES);
    }
    return sum;
}

static uint64_t work_pipe(void)
{
    int a[2], b[2];
    uint64_t n = 0;
    char c = 'x';

    if (pipe(a) < 0 || pipe(b) < 0)
        return 0;
    if (fork() == 0) {
        close(a[1]);
        while (read(a[0], &c, 1) == 1 && write(b[1], &c, 1) == 1)
            ;
        _exit(0);
    }
    for (int i = 0; i < 20000; i++)
        n += write(a[1], &c, 1) == 1 && read(b[0], &c, 1) == 1;
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
    wait(NULL);
    return n;
}

static uint64_t work_smc(void)
{
    static const uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $0, %eax; ret */
    uint8_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < 100000; i++) {
        memcpy(m, code, sizeof code);
        memcpy(m + 1, &i, sizeof i);
        sum += ((uint32_t(*)(void))m)();
    }
    munmap(m, 4096);
    return sum;
}

static uint64_t counter;

static void *add_many(void *arg)
{
    for (int i = 0; i < 5000000; i++)
        __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
    return arg;
}

static uint64_t work_atomic(void)
{
    counter = 0;
    add_many(NULL);
    return counter;
}

/* For a machine of two CPUs. */
static uint64_t work_atomic2(void)
{
    pthread_t t;

    counter = 0;
    if (pthread_create(&t, NULL, add_many, NULL) != 0)
        return 0;
    add_many(NULL);
    pthread_join(t, NULL);
    return counter;
}

/* ---- busybox, the distribution's binary */

#define TEXT "/tmp/cpubench.text"

static void write_text(uint32_t lines)
{
    FILE *f = fopen(TEXT, "w");
    uint32_t s = 1;

    for (uint32_t i = 0; f && i < lines; i++)
        fprintf(f, "%u the quick brown fox %x jumps over %u lazy dogs\n", i, next_random(&s), next_random(&s) % 100);
    if (f)
        fclose(f);
}

static uint64_t busybox(const char *script)
{
    return run_many((char *const[]){"/bin/busybox", "sh", "-c", (char *)script, NULL}, 1);
}

static uint64_t work_sha256(void)
{
    return busybox("busybox sha256sum " TEXT " " TEXT " " TEXT " >/dev/null");
}

static uint64_t work_gzip(void)
{
    return busybox("busybox gzip -c " TEXT " >/dev/null");
}

static uint64_t work_awk(void)
{
    return busybox("busybox awk 'BEGIN { for (i = 0; i < 150000; i++) { s += i * 3 % 7; t[i % 100] = s \"\" } }'");
}

static uint64_t work_sh(void)
{
    return busybox("i=0; while [ $i -lt 40000 ]; do i=$((i + 1)); x=${i#1}; done");
}

static const struct work {
    const char *name;
    uint64_t (*run)(void);
    uint32_t text_lines; /* of a file that it needs */
} works[] = {
    {"int", work_int, 0}, {"sieve", work_sieve, 0}, {"qsort", work_qsort, 0}, {"vm", work_vm, 0},
    {"x87", work_x87, 0}, {"fp", work_fp, 0}, {"sse", work_sse, 0}, {"memcpy", work_memcpy, 0},
    {"repmovs", work_repmovs, 0}, {"copy8", work_copy8, 0}, {"chase", work_chase, 0},
    {"syscall", work_syscall, 0}, {"forkexec", work_forkexec, 0}, {"fault", work_fault, 0},
    {"pipe", work_pipe, 0}, {"smc", work_smc, 0}, {"atomic", work_atomic, 0},
    {"sha256", work_sha256, 60000}, {"awk", work_awk, 0}, {"sh", work_sh, 0}, {"gzip", work_gzip, 20000},
    {"atomic2", work_atomic2, 0},
};
enum { WORKS = sizeof works / sizeof works[0] };

static void wait_line(void)
{
    char c = 0;

    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        ;
}

static void run(const struct work *w)
{
    uint64_t result;

    if (w->text_lines)
        write_text(w->text_lines);
    printf("begin %s\n", w->name);
    wait_line();
    result = w->run();
    printf("end %s %016llx\n", w->name, (unsigned long long)result);
    wait_line();
    unlink(TEXT);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--nothing") == 0)
        return 0;
    for (int i = 1; i < argc; i++) {
        for (int k = 0; k < WORKS; k++) {
            if (strcmp(argv[1], "--list") == 0)
                puts(works[k].name);
            else if (strcmp(argv[i], works[k].name) == 0)
                run(&works[k]);
        }
    }
    puts("done");
    return 0;
}
