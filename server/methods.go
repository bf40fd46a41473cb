package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/access"
)

// method is a row of the one dispatch table: what a unary call and a request
// on a stream both come down to.
type method struct {
	name       string // as in the protocol
	audited    bool   // logged when it succeeds, too
	newRequest func() proto.Message
	run        func(ctx context.Context, c *call, req proto.Message) (proto.Message, error)
	// responseField is the answer's place on a stream.
	responseField protoreflect.FieldDescriptor
}

// message is a pointer to a generated message.
type message[T any] interface {
	*T
	proto.Message
}

// on makes the row of a handler.
func on[Q, R any, PQ message[Q], PR message[R]](name string, h func(*call, context.Context, PQ) (PR, error)) *method {
	return &method{
		name:       name,
		newRequest: func() proto.Message { return PQ(new(Q)) },
		run: func(ctx context.Context, c *call, req proto.Message) (proto.Message, error) {
			q, ok := req.(PQ)
			if !ok {
				return nil, fmt.Errorf("%s: request is a %T: %w", name, req, ck.CKR_IBM_GREP11_CANNOT_UNMARSHAL)
			}
			return h(c, ctx, q)
		},
	}
}

func audited(m *method) *method {
	m.audited = true
	return m
}

// as makes the row of an extension's handler: it gets the caller its
// credential stands for.
func as[Q, R any, PQ message[Q], PR message[R]](name string, h func(*extension, context.Context, access.Caller, PQ) (PR, error)) *method {
	return on(name, func(c *call, ctx context.Context, q PQ) (PR, error) {
		caller, err := c.caller(ctx)
		if err != nil {
			return nil, err
		}
		return h(c.srv.ext, ctx, caller, q)
	})
}

// perhaps is as for calls that start a login: one that is over counts as none.
func perhaps[Q, R any, PQ message[Q], PR message[R]](name string, h func(*extension, context.Context, access.Caller, PQ) (PR, error)) *method {
	return on(name, func(c *call, ctx context.Context, q PQ) (PR, error) {
		caller, err := c.caller(ctx)
		if wire.IsTransient(err) {
			return nil, err
		}
		return h(c.srv.ext, ctx, caller, q)
	})
}

// anybody is as for calls that have nothing to do with the login of the request.
func anybody[Q, R any, PQ message[Q], PR message[R]](name string, h func(*extension, context.Context, access.Caller, PQ) (PR, error)) *method {
	return on(name, func(c *call, ctx context.Context, q PQ) (PR, error) {
		return h(c.srv.ext, ctx, access.Caller{}, q)
	})
}

// services are all methods, by the gRPC service they belong to.
var services = []struct {
	desc    *grpc.ServiceDesc
	methods []*method
}{
	{&grep11pb.Crypto_ServiceDesc, []*method{
		on("GenerateRandom", (*call).GenerateRandom),
		on("DigestInit", (*call).DigestInit),
		on("Digest", (*call).Digest),
		on("DigestUpdate", (*call).DigestUpdate),
		on("DigestKey", (*call).DigestKey),
		on("DigestFinal", (*call).DigestFinal),
		on("DigestSingle", (*call).DigestSingle),
		on("EncryptInit", (*call).EncryptInit),
		on("DecryptInit", (*call).DecryptInit),
		on("EncryptUpdate", (*call).EncryptUpdate),
		on("DecryptUpdate", (*call).DecryptUpdate),
		on("Encrypt", (*call).Encrypt),
		on("Decrypt", (*call).Decrypt),
		on("EncryptFinal", (*call).EncryptFinal),
		on("DecryptFinal", (*call).DecryptFinal),
		on("EncryptSingle", (*call).EncryptSingle),
		on("DecryptSingle", (*call).DecryptSingle),
		on("SignInit", (*call).SignInit),
		on("VerifyInit", (*call).VerifyInit),
		on("SignUpdate", (*call).SignUpdate),
		on("VerifyUpdate", (*call).VerifyUpdate),
		on("SignFinal", (*call).SignFinal),
		on("VerifyFinal", (*call).VerifyFinal),
		on("Sign", (*call).Sign),
		on("Verify", (*call).Verify),
		on("SignSingle", (*call).SignSingle),
		on("VerifySingle", (*call).VerifySingle),
		on("ReencryptSingle", (*call).ReencryptSingle),
		on("GenerateKey", (*call).GenerateKey),
		on("GenerateKeyPair", (*call).GenerateKeyPair),
		on("WrapKey", (*call).WrapKey),
		on("UnwrapKey", (*call).UnwrapKey),
		on("DeriveKey", (*call).DeriveKey),
		on("GetMechanismList", (*call).GetMechanismList),
		on("GetMechanismInfo", (*call).GetMechanismInfo),
		on("GetAttributeValue", (*call).GetAttributeValue),
		on("SetAttributeValue", (*call).SetAttributeValue),
		on("Login", (*call).Login),
		on("Logout", (*call).Logout),
		on("RewrapKeyBlob", (*call).RewrapKeyBlob),
	}},
	{&extpb.Token_ServiceDesc, []*method{
		anybody("ListTokens", (*extension).listTokens),
		audited(as("InitToken", (*extension).initToken)),
		audited(as("DeleteToken", (*extension).deleteToken)),
		audited(as("InitPin", (*extension).initPin)),
		audited(as("SetPin", (*extension).setPin)),
		audited(perhaps("OpenLogin", (*extension).openLogin)),
		anybody("RenewLogin", (*extension).renewLogin),
		anybody("CloseLogin", (*extension).closeLogin),
		on("GetService", (*call).GetService),
	}},
	{&extpb.KeyStore_ServiceDesc, []*method{
		audited(as("CreateObject", (*extension).createObject)),
		as("FindObjects", (*extension).findObjects),
		as("GetObject", (*extension).getObject),
		audited(as("SetAttributes", (*extension).setAttributes)),
		audited(as("CopyObject", (*extension).copyObject)),
		audited(as("DestroyObject", (*extension).destroyObject)),
		audited(on("MakeKey", (*call).MakeKey)),
	}},
	{&extpb.Admin_ServiceDesc, []*method{
		on("ListCryptoUnits", (*call).ListCryptoUnits),
		on("ExecuteAdmin", (*call).ExecuteAdmin),
		on("RewrapStore", (*call).RewrapStore),
		audited(on("DrainUnit", (*call).DrainUnit)),
		on("ListRetained", (*call).ListRetained),
		audited(on("RemoveRetained", (*call).RemoveRetained)),
	}},
}
