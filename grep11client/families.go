package grep11client

import (
	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
)

// The messages of each family of operations, by name.

var digestFamily = family{
	single: func(m *pb, _ *grep11pb.KeyBlob, data, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DigestSingle{DigestSingle: &grep11pb.DigestSingleRequest{Mech: m, Data: data}}}
	},
	init: func(m *pb, _ *grep11pb.KeyBlob) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DigestInit{DigestInit: &grep11pb.DigestInitRequest{Mech: m}}}
	},
	update: func(s, data []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DigestUpdate{DigestUpdate: &grep11pb.DigestUpdateRequest{State: s, Data: data}}}
	},
	finish: func(s, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DigestFinal{DigestFinal: &grep11pb.DigestFinalRequest{State: s}}}
	},
}

var encryptFamily = family{
	single: func(m *pb, key *grep11pb.KeyBlob, data, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_EncryptSingle{EncryptSingle: &grep11pb.EncryptSingleRequest{Mech: m, Key: key, Plain: data}}}
	},
	init: func(m *pb, key *grep11pb.KeyBlob) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_EncryptInit{EncryptInit: &grep11pb.EncryptInitRequest{Mech: m, Key: key}}}
	},
	update: func(s, data []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_EncryptUpdate{EncryptUpdate: &grep11pb.EncryptUpdateRequest{State: s, Plain: data}}}
	},
	finish: func(s, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_EncryptFinal{EncryptFinal: &grep11pb.EncryptFinalRequest{State: s}}}
	},
}

var decryptFamily = family{
	single: func(m *pb, key *grep11pb.KeyBlob, data, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DecryptSingle{DecryptSingle: &grep11pb.DecryptSingleRequest{Mech: m, Key: key, Ciphered: data}}}
	},
	init: func(m *pb, key *grep11pb.KeyBlob) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DecryptInit{DecryptInit: &grep11pb.DecryptInitRequest{Mech: m, Key: key}}}
	},
	update: func(s, data []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DecryptUpdate{DecryptUpdate: &grep11pb.DecryptUpdateRequest{State: s, Ciphered: data}}}
	},
	finish: func(s, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_DecryptFinal{DecryptFinal: &grep11pb.DecryptFinalRequest{State: s}}}
	},
}

var signFamily = family{
	single: func(m *pb, key *grep11pb.KeyBlob, data, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_SignSingle{SignSingle: &grep11pb.SignSingleRequest{Mech: m, PrivKey: key, Data: data}}}
	},
	init: func(m *pb, key *grep11pb.KeyBlob) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_SignInit{SignInit: &grep11pb.SignInitRequest{Mech: m, PrivKey: key}}}
	},
	update: func(s, data []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_SignUpdate{SignUpdate: &grep11pb.SignUpdateRequest{State: s, Data: data}}}
	},
	finish: func(s, _ []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_SignFinal{SignFinal: &grep11pb.SignFinalRequest{State: s}}}
	},
}

var verifyFamily = family{
	single: func(m *pb, key *grep11pb.KeyBlob, data, sig []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_VerifySingle{VerifySingle: &grep11pb.VerifySingleRequest{Mech: m, PubKey: key, Data: data, Signature: sig}}}
	},
	init: func(m *pb, key *grep11pb.KeyBlob) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_VerifyInit{VerifyInit: &grep11pb.VerifyInitRequest{Mech: m, PubKey: key}}}
	},
	update: func(s, data []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_VerifyUpdate{VerifyUpdate: &grep11pb.VerifyUpdateRequest{State: s, Data: data}}}
	},
	finish: func(s, sig []byte) *extpb.Request {
		return &extpb.Request{Call: &extpb.Request_VerifyFinal{VerifyFinal: &grep11pb.VerifyFinalRequest{State: s, Signature: sig}}}
	},
}
