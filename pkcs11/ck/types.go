package ck

import "fmt"

// The standard's CK_ types, without the prefix. All are CK_ULONGs.
type (
	AttributeType   uint64
	CertificateType uint64
	Flags           uint64
	KeyType         uint64
	MechanismType   uint64
	ObjectClass     uint64
	ObjectHandle    uint64
	SessionHandle   uint64
	SlotID          uint64
	State           uint64
	UserType        uint64
)

func (t AttributeType) String() string { return nameOr(namesAttributeType[t], "CKA_", uint64(t)) }
func (t KeyType) String() string       { return nameOr(namesKeyType[t], "CKK_", uint64(t)) }
func (t MechanismType) String() string { return nameOr(namesMechanismType[t], "CKM_", uint64(t)) }
func (c ObjectClass) String() string   { return nameOr(namesObjectClass[c], "CKO_", uint64(c)) }
func (u UserType) String() string      { return nameOr(namesUserType[u], "CKU_", uint64(u)) }

func nameOr(name, prefix string, n uint64) string {
	if name != "" {
		return name
	}
	return fmt.Sprintf("%s0x%08X", prefix, n)
}

// Version is CK_VERSION.
type Version struct{ Major, Minor byte }

// Info is CK_INFO; strings are without padding.
type Info struct {
	CryptokiVersion    Version
	ManufacturerID     string
	Flags              Flags
	LibraryDescription string
	LibraryVersion     Version
}

// SlotInfo is CK_SLOT_INFO.
type SlotInfo struct {
	SlotDescription string
	ManufacturerID  string
	Flags           Flags
	HardwareVersion Version
	FirmwareVersion Version
}

// TokenInfo is CK_TOKEN_INFO.
type TokenInfo struct {
	Label              string
	ManufacturerID     string
	Model              string
	SerialNumber       string
	Flags              Flags
	MaxSessionCount    uint64
	SessionCount       uint64
	MaxRwSessionCount  uint64
	RwSessionCount     uint64
	MaxPinLen          uint64
	MinPinLen          uint64
	TotalPublicMemory  uint64
	FreePublicMemory   uint64
	TotalPrivateMemory uint64
	FreePrivateMemory  uint64
	HardwareVersion    Version
	FirmwareVersion    Version
	UTCTime            string
}

// SessionInfo is CK_SESSION_INFO.
type SessionInfo struct {
	SlotID      SlotID
	State       State
	Flags       Flags
	DeviceError uint64
}

// MechanismInfo is CK_MECHANISM_INFO. Key sizes are in bits or bytes, as the
// standard says for each mechanism.
type MechanismInfo struct {
	MinKeySize, MaxKeySize uint64
	Flags                  Flags
}
