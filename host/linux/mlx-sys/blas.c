// The BLAS functions that MLX calls, under the names by which it calls them.
//
// The wheel of OpenBLAS (scipy-openblas32) puts `scipy_` before every name, so that it can share a process with another
// BLAS. Opened before MLX for everyone to see, these few take the place of the slow ones that MLX's wheel brings.
// Signatures: CBLAS of the BLAS Technical Forum, with 32-bit integers.
//
// OpenBLAS's own threads spin while they wait for each other. On a machine that has other work they then wait for a time
// slice at every product: decoding was 12 times slower with two threads than with one beside two compilers. So OpenBLAS
// works on one thread, and large products are cut into pieces here: the caller takes piece after piece, sleeping helpers
// are woken to take some too, and nothing waits for a helper that has not begun.

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

void scipy_cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
void scipy_cblas_sgemv(int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
void scipy_cblas_dgemm(
    int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
void scipy_cblas_cgemm(
    int, int, int, int, int, int, const void*, const void*, int, const void*, int, const void*, void*, int);
void scipy_openblas_set_num_threads(int);

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

// The arguments of `sgemm`, row-major: c = alpha op(a) op(b) + beta c, of m x k and k x n.
typedef struct {
  int a_flipped, b_flipped, m, n, k;
  float alpha;
  const float* a;
  int lda;
  const float* b;
  int ldb;
  float beta;
  float* c;
  int ldc;
} Product;

// One row or one column makes the product a matrix times a vector, which is what decoding one token is made of. OpenBLAS
// runs `gemv` 2 to 6 times as fast as its `gemm` on such shapes (x86-64 with AVX2, 384x384 to 1024x3072, OpenBLAS 0.3.34).
static void multiply(const Product* p) {
  if (p->m == 1) {
    // c = op(b)' a: b as stored is k x n, or n x k when it is flipped.
    int rows = p->b_flipped ? p->n : p->k, columns = p->b_flipped ? p->k : p->n;
    int b_side = p->b_flipped ? NO_TRANSPOSE : TRANSPOSE;
    int step = p->a_flipped ? p->lda : 1;
    scipy_cblas_sgemv(ROW_MAJOR, b_side, rows, columns, p->alpha, p->b, p->ldb, p->a, step, p->beta, p->c, 1);
  } else if (p->n == 1) {
    // c = op(a) b: a as stored is m x k, or k x m when it is flipped.
    int rows = p->a_flipped ? p->k : p->m, columns = p->a_flipped ? p->m : p->k;
    int a_side = p->a_flipped ? TRANSPOSE : NO_TRANSPOSE;
    int step = p->b_flipped ? 1 : p->ldb;
    scipy_cblas_sgemv(ROW_MAJOR, a_side, rows, columns, p->alpha, p->a, p->lda, p->b, step, p->beta, p->c, p->ldc);
  } else {
    int a_side = p->a_flipped ? TRANSPOSE : NO_TRANSPOSE, b_side = p->b_flipped ? TRANSPOSE : NO_TRANSPOSE;
    scipy_cblas_sgemm(
        ROW_MAJOR, a_side, b_side, p->m, p->n, p->k, p->alpha, p->a, p->lda, p->b, p->ldb, p->beta, p->c, p->ldc);
  }
}

// A product on offer to the helpers. One is enough: whoever finds it taken computes alone.
static struct {
  pthread_mutex_t lock;
  pthread_cond_t offered, finished;
  int threads;  // helpers and the caller
  int taken;  // whether a caller has it
  int open;  // whether helpers may join
  unsigned offers;  // how many there have been
  int helping;  // helpers at work
  const Product* product;
  int step, pieces;  // columns (or rows, where there are more) a piece, and how many pieces
  atomic_int next;  // the first piece that nobody has taken
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .offered = PTHREAD_COND_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER};

static void take_pieces(const Product* whole, int step, int pieces) {
  for (int piece; (piece = atomic_fetch_add(&pool.next, 1)) < pieces;) {
    Product part = *whole;
    long begin = (long)piece * step;
    if (whole->n >= whole->m) {
      part.n = begin + step < whole->n ? step : whole->n - (int)begin;
      part.b += whole->b_flipped ? begin * whole->ldb : begin;
      part.c += begin;
    } else {
      part.m = begin + step < whole->m ? step : whole->m - (int)begin;
      part.a += whole->a_flipped ? begin : begin * whole->lda;
      part.c += begin * whole->ldc;
    }
    multiply(&part);
  }
}

static void* help(void* unused) {
  pthread_mutex_lock(&pool.lock);
  for (unsigned seen = 0;;) {
    while (!pool.open || seen == pool.offers) pthread_cond_wait(&pool.offered, &pool.lock);
    seen = pool.offers;
    const Product* product = pool.product;
    int step = pool.step, pieces = pool.pieces;
    pool.helping++;
    pthread_mutex_unlock(&pool.lock);
    take_pieces(product, step, pieces);
    pthread_mutex_lock(&pool.lock);
    if (--pool.helping == 0) pthread_cond_signal(&pool.finished);
  }
  return unused;
}

// OpenBLAS takes itself down when the process exits, and MLX's threads may still be computing then: a token is always
// queued ahead of the one that is read. A call that has begun is waited for, and later ones do nothing, since nobody will
// read their results.
static pthread_rwlock_t in_use = PTHREAD_RWLOCK_INITIALIZER;
static atomic_int closed;

static void close_at_exit(void) {
  atomic_store(&closed, 1);
  pthread_rwlock_wrlock(&in_use);
  pthread_rwlock_unlock(&in_use);
}

// Before any product, since the first one may come when the process exits already.
__attribute__((constructor)) static void register_close(void) {
  atexit(close_at_exit);
}

static int processors = 1;

// How many processors are this process's own, by its affinity and its share of them; called before any product.
void wasmlx_blas_processors(int count) {
  processors = count;
}

// As many threads as OPENBLAS_NUM_THREADS says, or one a processor.
static void start(void) {
  const char* wanted = getenv("OPENBLAS_NUM_THREADS");
  int threads = wanted ? atoi(wanted) : 0;
  if (threads <= 0) threads = processors;
  scipy_openblas_set_num_threads(1);
  pool.threads = 1;
  for (pthread_t helper; pool.threads < threads && pthread_create(&helper, 0, help, 0) == 0; pool.threads++) {
    pthread_detach(helper);
  }
}

static void multiply_together(const Product* product, int pieces) {
  int longer = product->n >= product->m ? product->n : product->m;
  int step = ((longer + pieces - 1) / pieces + 63) / 64 * 64;  // whole blocks of OpenBLAS's kernels
  pthread_mutex_lock(&pool.lock);
  if (pool.taken) {
    pthread_mutex_unlock(&pool.lock);
    multiply(product);
    return;
  }
  pool.taken = pool.open = 1;
  pool.offers++;
  pool.product = product;
  pool.step = step;
  pool.pieces = (longer + step - 1) / step;
  atomic_store(&pool.next, 0);
  pthread_cond_broadcast(&pool.offered);
  pthread_mutex_unlock(&pool.lock);
  take_pieces(product, step, pool.pieces);
  pthread_mutex_lock(&pool.lock);
  pool.open = 0;
  while (pool.helping > 0) pthread_cond_wait(&pool.finished, &pool.lock);
  pool.taken = 0;
  pthread_mutex_unlock(&pool.lock);
}

// Waking a helper takes some 20 us: a piece has at least 2^20 multiplications, or 2^18 where one side is a vector and each
// number read from memory is used once.
static int worthwhile_pieces(const Product* p) {
  double work = (double)p->m * p->n * p->k / (p->m == 1 || p->n == 1 ? 1 << 18 : 1 << 20);
  int most = 4 * pool.threads;
  return work < most ? (int)work : most;
}

// To be called ahead of OpenBLAS, and `leave` after it, where this answers 1.
static int enter(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_rwlock_rdlock(&in_use);
  if (!atomic_load(&closed)) {
    pthread_once(&once, start);
    return 1;
  }
  pthread_rwlock_unlock(&in_use);
  return 0;
}

static void leave(void) {
  pthread_rwlock_unlock(&in_use);
}

void cblas_sgemm(
    int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a, int lda,
    const float* b, int ldb, float beta, float* c, int ldc) {
  if (!enter()) return;
  Product product = {
      transpose_a != NO_TRANSPOSE, transpose_b != NO_TRANSPOSE, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc};
  int pieces = order == ROW_MAJOR && pool.threads > 1 ? worthwhile_pieces(&product) : 1;
  if (order != ROW_MAJOR) {
    scipy_cblas_sgemm(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  } else if (pieces > 1) {
    multiply_together(&product, pieces);
  } else {
    multiply(&product);
  }
  leave();
}

void cblas_dgemm(
    int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha, const double* a, int lda,
    const double* b, int ldb, double beta, double* c, int ldc) {
  if (!enter()) return;
  scipy_cblas_dgemm(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  leave();
}

void cblas_cgemm(
    int order, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha, const void* a, int lda,
    const void* b, int ldb, const void* beta, void* c, int ldc) {
  if (!enter()) return;
  scipy_cblas_cgemm(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  leave();
}
