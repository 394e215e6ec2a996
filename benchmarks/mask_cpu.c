/* Hide features of an x86 processor from a program, to measure what it does on another one.
 *
 *     gcc -O1 -shared -fPIC benchmarks/mask_cpu.c -o mask_cpu.so
 *     MASK_CPU=amx LD_PRELOAD=$PWD/mask_cpu.so python benchmarks/tagging.py BUNDLE
 *
 * MASK_CPU is one of:
 *
 *     amx          no AMX, as on Ice Lake
 *     avx512       nor AVX-512, as on Alder Lake, which has AVX-VNNI
 *     vnni         AVX-512 without AMX and VNNI, as on Skylake
 *     avx512,vnni  AVX2 alone, as on Haswell and Zen 3
 *
 * Linux lets a program ask for a fault at each cpuid instruction. The handler runs the instruction and clears
 * bits of its answer. Clock rates and caches stay those of the machine.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_CPUID_SET 0x1012
#define BIT(n) (1u << (n))

static int without_avx512, without_vnni;

static void hide(unsigned leaf, unsigned sub, unsigned *a, unsigned *b, unsigned *c, unsigned *d) {
  if (leaf != 7) return;
  if (sub == 0) {
    *d &= ~(BIT(22) | BIT(24) | BIT(25)); /* AMX: bf16, tile, int8 */
    if (without_avx512) {
      *b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31)); /* F, DQ, IFMA, CD, BW, VL */
      *c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)); /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
      *d &= ~BIT(23); /* FP16 */
    }
    if (without_vnni) *c &= ~BIT(11);
  } else if (sub == 1) {
    *a &= ~BIT(21); /* AMX FP16 */
    *d &= ~(BIT(4) | BIT(5) | BIT(10)); /* AVX-VNNI with more types */
    if (without_avx512) *a &= ~BIT(5); /* AVX-512 BF16 */
    if (without_vnni) *a &= ~BIT(4); /* AVX-VNNI */
  }
}

static void answer(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  unsigned char *code = (unsigned char *)registers[REG_RIP];
  unsigned a, b, c, d, leaf = registers[REG_RAX], sub = registers[REG_RCX];
  if (code[0] != 0x0f || code[1] != 0xa2) { /* a real fault: it comes again, and ends the program */
    signal(number, SIG_DFL);
    return;
  }
  (void)info;
  syscall(SYS_arch_prctl, ARCH_CPUID_SET, 1);
  __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(sub));
  syscall(SYS_arch_prctl, ARCH_CPUID_SET, 0);
  hide(leaf, sub, &a, &b, &c, &d);
  registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
  const char *features = getenv("MASK_CPU");
  struct sigaction action;
  if (!features || !*features) return;
  without_avx512 = strstr(features, "avx512") != NULL;
  without_vnni = strstr(features, "vnni") != NULL;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, NULL);
  syscall(SYS_arch_prctl, ARCH_CPUID_SET, 0);
}
