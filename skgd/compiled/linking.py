"""How functions are compiled that only kernels call: their code is linked into the kernels, and optimised there.

Numba by itself optimises such a function and generates its machine code, too, although nobody runs it: a kernel contains a
copy of its own.  Leaving that out saves a third of the time that the first fit compiles (docs/how_it_works/compiled.md).
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher


class LinkedCode(JITCodeLibrary):
    """Code that is only linked into that of callers."""

    def _optimize_final_module(self) -> None:
        """Do nothing: callers optimise their copies."""

    def _finalize_final_module(self) -> None:
        """Make the code ready for linking, without machine code."""
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class LinkedCompiler(Compiler):
    """Compiles a function for callers that are compiled, too."""

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals) -> None:
        library = LinkedCode(targetctx.codegen(), "linked")
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)

    def define_pipelines(self) -> Any:
        """The pipeline of any function, but for the machine code.

        The flags are set here, when Numba has copied them for callees: it compiles a callee anew for each set of flags.
        """
        flags = self.state.flags
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        return super().define_pipelines()

    def compile_extra(self, func: Any) -> Any:
        """Compile, and register the code under a handle of its own, by which calls are resolved."""
        result = super().compile_extra(func)
        handle: Any = [].append  # a builtin function, as Numba asks for, that is not any other one
        result.target_context.insert_user_function(handle, result.fndesc, [result.library])
        return result._replace(entry_point=handle)


class LinkedFunction(CPUDispatcher):
    """A function that compiled code links in; from Python it runs as it is written."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions={"nopython": True, **options}, pipeline_class=LinkedCompiler)

    def __call__(self, *arguments: Any) -> Any:
        """Run the Python function."""
        return self.py_func(*arguments)
