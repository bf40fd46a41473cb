package hsm

// #include <stdlib.h>
import "C"

import (
	"encoding/binary"
	"unsafe"
)

// stringData is CK_KEY_DERIVATION_STRING_DATA: a pointer and a length, which
// the binding has no type for. The memory is C's, until free.
func stringData(data []byte) (param []byte, free func()) {
	p := C.CBytes(data)
	param = binary.NativeEndian.AppendUint64(nil, uint64(uintptr(p)))
	return binary.NativeEndian.AppendUint64(param, uint64(len(data))), func() { C.free(unsafe.Pointer(p)) }
}
