import json
import sys
import time

import numpy as np

import syntony
from syntony.evaluation.link import evaluate_link

rng=np.random.default_rng(0)
import types

m=types.ModuleType("boxm"); sys.modules["boxm"]=m
def imdd(x):
    return np.maximum(x.real+1,0)+0.15*rng.standard_normal(x.shape)+0j
if __name__=="__main__":
    import tempfile
    t=time.time()
    d=tempfile.mkdtemp()
    run=syntony.train(syntony.Link(messages=16,uses=2,hidden=32,channel="awgn?snr_db=8.0+quantizer"),steps=300,out=d+"/r",eval_every=300,quiet=True)
    print("trained",time.time()-t); t=time.time()
    ev=evaluate_link(run,[6.0,8.0],max_blocks=40000,notify=print)
    print(json.dumps(ev["points"],indent=1)[:3000]); print(time.time()-t); t=time.time()
    ev=evaluate_link(run,[6.0,8.0],max_blocks=40000,notify=print); print("again",time.time()-t)
    ev=evaluate_link(run,[6.0,8.0],max_blocks=40000,notify=print,reference="qam16"); print(ev["points"][0]["baselines"],time.time()-t)
    t=time.time()
    run=syntony.train(syntony.Link(channel="awgn"),steps=30,out=d+"/s",eval_every=300,quiet=True)
    t=time.time()
    ev=evaluate_link(run,[4.0,9.5,10.0,12.0],max_blocks=400000,notify=print)
    for p in ev["points"]: print(p["baselines"])
    print(time.time()-t)
