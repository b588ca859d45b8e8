"""Sixteen neighbouring numbers of an array as one value that stays in a register.

Numba vectorises loops over arrays, but keeps a running sum of a whole row in memory. Where that costs more
than the sum, a kernel says with these four functions what it means: load, add, store, begin with zeros.
"""

import numpy as np
from numba import config, types
from numba.core.cgutils import ir  # type: ignore[attr-defined]  # LLVM's types, which Numba builds on
from numba.extending import intrinsic, models, register_model

WIDTH = 16

if getattr(config, "DISABLE_JIT", False):

    def zeros(array):
        """Lanes of zeros of the array's type."""
        return np.zeros(WIDTH, array.dtype)

    def load(array, first):
        """Lanes of a one-dimensional contiguous array, from index ``first`` on."""
        return array[first : first + WIDTH].copy()

    def add(left, right):
        """Sum of two lanes."""
        return left + right

    def store(array, first, lanes):
        """Write lanes to a one-dimensional contiguous array, from index ``first`` on."""
        array[first : first + WIDTH] = lanes

else:

    class Lanes(types.Type):
        """Type of WIDTH whole numbers of one type."""

        def __init__(self, dtype):
            self.dtype = dtype
            super().__init__(name=f"Lanes({dtype})")

    @register_model(Lanes)
    class LanesModel(models.PrimitiveModel):
        """A vector in LLVM."""

        def __init__(self, dmm, fe_type):
            super().__init__(dmm, fe_type, ir.VectorType(dmm.lookup(fe_type.dtype).get_data_type(), WIDTH))

    def place(context, builder, array_type, array, first):
        """Pointer to the lanes of an array from index ``first`` on, and their alignment."""
        data = context.make_array(array_type)(context, builder, array).data
        kind = context.get_value_type(Lanes(array_type.dtype))
        pointer = builder.gep(data, [first])
        return builder.bitcast(pointer, kind.as_pointer()), array_type.dtype.bitwidth // 8

    @intrinsic
    def zeros(typingctx, array):
        """Lanes of zeros of the array's type."""

        def generate(context, builder, signature, args):
            return context.get_value_type(signature.return_type)(None)

        return Lanes(array.dtype)(array), generate

    @intrinsic
    def load(typingctx, array, first):
        """Lanes of a one-dimensional contiguous array, from index ``first`` on."""

        def generate(context, builder, signature, args):
            pointer, align = place(context, builder, signature.args[0], *args)
            return builder.load(pointer, align=align)

        return Lanes(array.dtype)(array, types.intp), generate

    @intrinsic
    def add(typingctx, left, right):
        """Sum of two lanes."""

        def generate(context, builder, signature, args):
            return builder.add(*args)

        return left(left, right), generate

    @intrinsic
    def store(typingctx, array, first, lanes):
        """Write lanes to a one-dimensional contiguous array, from index ``first`` on."""

        def generate(context, builder, signature, args):
            pointer, align = place(context, builder, signature.args[0], args[0], args[1])
            builder.store(args[2], pointer, align=align)
            return context.get_dummy_value()

        return types.void(array, types.intp, lanes), generate
