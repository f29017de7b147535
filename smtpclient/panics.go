package smtpclient

import (
	"fmt"
	"runtime"
)

// contain turns a panic in a hook of the caller into an *Error, at the border of
// the package.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = &Error{Status: Deferred, Attempt: Attempt{Stage: StageInput, Enhanced: "4.3.0", Cause: panicked(p)}}
	}
}

// panicked is the error of a panic. It names where the panic was, since the
// stack is gone by the time anybody reads it. It must be called by the deferred
// function itself.
func panicked(p any) error {
	return fmt.Errorf("panic in a hook of the caller at %s: %v", panicSite(), p)
}

// panicSite is the first frame below the panic that is not the runtime's.
func panicSite() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for thrown := false; ; {
		frame, more := frames.Next()
		if frame.Function == "runtime.gopanic" {
			thrown = true
		} else if thrown && len(frame.Function) > 8 && frame.Function[:8] != "runtime." {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}
