package server

import (
	"context"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/access"
)

func (x *extension) createObject(ctx context.Context, c access.Caller, r *extpb.CreateObjectRequest) (*extpb.ObjectResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) findObjects(ctx context.Context, c access.Caller, r *extpb.FindObjectsRequest) (*extpb.FindObjectsResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) getObject(ctx context.Context, c access.Caller, r *extpb.GetObjectRequest) (*extpb.ObjectResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) setAttributes(ctx context.Context, c access.Caller, r *extpb.SetAttributesRequest) (*extpb.ObjectResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) copyObject(ctx context.Context, c access.Caller, r *extpb.CopyObjectRequest) (*extpb.ObjectResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) destroyObject(ctx context.Context, c access.Caller, r *extpb.DestroyObjectRequest) (*extpb.DestroyObjectResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// MakeKey is a method of the call, not of the extension: it makes the key with the
// halves of keys.go (c.generate, c.generatePair, c.unwrap, c.derive), which
// resolve stored keys and choose the unit. c.caller gives the caller.
func (c *call) MakeKey(ctx context.Context, r *extpb.MakeKeyRequest) (*extpb.MakeKeyResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}
