// Package command is the language between administrators and a crypto unit:
// command and response blocks, their signatures, encrypted key parts, reason
// codes, attributes and control points. Both sides use it: the engine in
// server/admin and the operators' tools in server/admin/operator.
//
// The formats are EP11's where those are public:
//
//	command block   SEQUENCE of five OCTET STRINGs    block.go
//	response block  SEQUENCE of six                   block.go
//	signatures      CMS SignerInfo, concatenated      signature.go
//	key part        CMS RecipientInfo                 recipient.go
//	part request    SEQUENCE of four OCTET STRINGs    part.go
//
// EP11 does not publish three things, and here they are: the payload of a
// refused command's response is its reason code in 4 bytes; the EC form of a
// RecipientInfo is that of RFC 5753; a part may be followed, inside the
// encryption, by the 32-byte pattern of the whole key. All integers are
// big-endian.
package command
