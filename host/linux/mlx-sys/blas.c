// The BLAS functions that MLX calls, under the names by which it calls them.
//
// The wheel of OpenBLAS (scipy-openblas32) puts `scipy_` before every name, so that it can share a process with another
// BLAS. Opened before MLX for everyone to see, these few take the place of the slow ones that MLX's wheel brings.
// Signatures: CBLAS of the BLAS Technical Forum, with 32-bit integers.

void scipy_cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
void scipy_cblas_sgemv(int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
void scipy_cblas_dgemm(
    int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
void scipy_cblas_cgemm(
    int, int, int, int, int, int, const void*, const void*, int, const void*, int, const void*, void*, int);

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

// One row or one column makes the product a matrix times a vector, which is what decoding one token is made of. OpenBLAS
// runs `gemv` 2 to 6 times as fast as its `gemm` on such shapes (x86-64 with AVX2, 384x384 to 1024x3072, OpenBLAS 0.3.34).
void cblas_sgemm(
    int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a, int lda,
    const float* b, int ldb, float beta, float* c, int ldc) {
  int a_flipped = transpose_a != NO_TRANSPOSE, b_flipped = transpose_b != NO_TRANSPOSE;
  if (order == ROW_MAJOR && m == 1) {
    // c = op(b)' a: b as stored is k x n, or n x k when it is flipped.
    int rows = b_flipped ? n : k, columns = b_flipped ? k : n;
    int b_side = b_flipped ? NO_TRANSPOSE : TRANSPOSE;
    scipy_cblas_sgemv(order, b_side, rows, columns, alpha, b, ldb, a, a_flipped ? lda : 1, beta, c, 1);
    return;
  }
  if (order == ROW_MAJOR && n == 1) {
    // c = op(a) b: a as stored is m x k, or k x m when it is flipped.
    int rows = a_flipped ? k : m, columns = a_flipped ? m : k;
    int a_side = a_flipped ? TRANSPOSE : NO_TRANSPOSE;
    scipy_cblas_sgemv(order, a_side, rows, columns, alpha, a, lda, b, b_flipped ? 1 : ldb, beta, c, ldc);
    return;
  }
  scipy_cblas_sgemm(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_dgemm(
    int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha, const double* a, int lda,
    const double* b, int ldb, double beta, double* c, int ldc) {
  scipy_cblas_dgemm(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_cgemm(
    int order, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha, const void* a, int lda,
    const void* b, int ldb, const void* beta, void* c, int ldc) {
  scipy_cblas_cgemm(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
