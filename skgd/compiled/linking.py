"""Compilation of functions that only kernels call: their code is linked into the kernels and optimised there.

By default, Numba also optimises such a function separately and generates machine code for it.  This code is never run, because
each kernel contains a copy of its own.  Omitting this step saves a third of the compile time of the first fit
(docs/how_it_works/compiled.md).
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher


def borrows(function: Any) -> Any:
    """Mark a function or a method of a struct that makes no arrays, and gets none from what it calls.

    Its caller owns all arrays, so it is compiled without counting references to them.  For a tile of 32 rows the atomic
    operations of counting take as long as a third of the arithmetic.  An array that such a function makes or is handed, as by
    `np.dot`, would never be freed.  `tests/test_kernels.py` checks that no memory is left.
    """
    function.borrows = True
    return function


class LinkedCode(JITCodeLibrary):
    """Code that is only linked into the code of its callers."""

    def _optimize_final_module(self) -> None:
        """Do nothing, because the callers optimise their copies."""

    def _finalize_final_module(self) -> None:
        """Prepare the code for linking, without generating machine code."""
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class LinkedCompiler(Compiler):
    """Compiles a function whose callers are compiled functions."""

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals) -> None:
        library = LinkedCode(targetctx.codegen(), "linked")
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)

    def define_pipelines(self) -> Any:
        """The pipeline of any function, but for the machine code.

        The flags are set here, when Numba has copied them for callees: it compiles a callee anew for each set of flags.
        """
        if getattr(self.state.func_id.func, "borrows", False):
            self.state.targetctx = self.state.targetctx.subtarget(enable_nrt=False)
        flags = self.state.flags
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.forceinline = True
        return super().define_pipelines()

    def compile_extra(self, func: Any) -> Any:
        """Compile the function, and register its code under a unique handle by which Numba resolves calls."""
        result = super().compile_extra(func)
        handle: Any = [].append  # a new object that is a builtin function, as Numba requires
        result.target_context.insert_user_function(handle, result.fndesc, [result.library])
        return result._replace(entry_point=handle)


class LinkedFunction(CPUDispatcher):
    """A function that is linked into compiled callers; called from Python, it runs as plain Python."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions={"nopython": True, **options}, pipeline_class=LinkedCompiler)

    def __call__(self, *arguments: Any) -> Any:
        """Run the Python function."""
        return self.py_func(*arguments)
