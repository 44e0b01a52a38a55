"""Linear algebra: LAPACK by function pointer, matrix by matrix; loops over registers for small ones.

Reading order:
    matrices        stacks of matrices, how Fortran is called, copies by rows and columns
    triangular      triangular_solve, lu_solve
    factorisations  cholesky, lu, geqrf, qr
    spectra         eigh, svd, eig
"""
