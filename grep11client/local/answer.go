package local

import (
	"context"

	"grep11/grep11client/extpb"
)

// Answer answers the calls of the Token and KeyStore services; ours is false
// for all others, which are the service's.
func (s *Store) Answer(ctx context.Context, req *extpb.Request) (resp *extpb.Response, ours bool, err error) {
	resp = &extpb.Response{}
	switch c := req.Call.(type) {
	case *extpb.Request_ListTokens:
		r := &extpb.Response_ListTokens{}
		r.ListTokens, err = s.listTokens()
		resp.Result = r
	case *extpb.Request_InitToken:
		r := &extpb.Response_InitToken{}
		r.InitToken, err = s.initToken(c.InitToken)
		resp.Result = r
	case *extpb.Request_DeleteToken:
		r := &extpb.Response_DeleteToken{}
		r.DeleteToken, err = s.deleteToken(c.DeleteToken)
		resp.Result = r
	case *extpb.Request_InitPin:
		r := &extpb.Response_InitPin{}
		r.InitPin, err = s.initPIN(req.Credential, c.InitPin)
		resp.Result = r
	case *extpb.Request_SetPin:
		r := &extpb.Response_SetPin{}
		r.SetPin, err = s.setPIN(c.SetPin)
		resp.Result = r
	case *extpb.Request_OpenLogin:
		r := &extpb.Response_OpenLogin{}
		r.OpenLogin, err = s.openLogin(req.Credential, c.OpenLogin)
		resp.Result = r
	case *extpb.Request_CloseLogin:
		r := &extpb.Response_CloseLogin{}
		r.CloseLogin, err = s.closeLogin(c.CloseLogin)
		resp.Result = r
	case *extpb.Request_CreateObject:
		r := &extpb.Response_CreateObject{}
		r.CreateObject, err = s.createObject(req.Credential, c.CreateObject)
		resp.Result = r
	case *extpb.Request_FindObjects:
		r := &extpb.Response_FindObjects{}
		r.FindObjects, err = s.findObjects(req.Credential, c.FindObjects)
		resp.Result = r
	case *extpb.Request_GetObject:
		r := &extpb.Response_GetObject{}
		r.GetObject, err = s.getObject(req.Credential, c.GetObject)
		resp.Result = r
	case *extpb.Request_SetAttributes:
		r := &extpb.Response_SetAttributes{}
		r.SetAttributes, err = s.setAttributes(ctx, req.Credential, c.SetAttributes)
		resp.Result = r
	case *extpb.Request_CopyObject:
		r := &extpb.Response_CopyObject{}
		r.CopyObject, err = s.copyObject(ctx, req.Credential, c.CopyObject)
		resp.Result = r
	case *extpb.Request_DestroyObject:
		r := &extpb.Response_DestroyObject{}
		r.DestroyObject, err = s.destroyObject(req.Credential, c.DestroyObject)
		resp.Result = r
	case *extpb.Request_MakeKey:
		r := &extpb.Response_MakeKey{}
		r.MakeKey, err = s.makeKey(ctx, req.Credential, c.MakeKey)
		resp.Result = r
	default:
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	return resp, true, nil
}
