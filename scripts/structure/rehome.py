#!/usr/bin/env python3
"""rehome.py REPO OLD=NEW…

Items that live elsewhere now: every `use` of the item `crate::OLD` (also by `super::` and `self::`) becomes `crate::NEW`, and so does
every path in the code. OLD and NEW are paths from the root of the crate, `cluster::ObjectId=model::ObjectId`; `a::{B,C}=m` is short for
`a::B=m::B a::C=m::C`. The item itself is moved by hand. Run `cargo fmt` after it."""
import os,re,sys,collections
REPO=sys.argv[1]; ROOT=os.path.join(REPO,'src')
MAP={}
for a in sys.argv[2:]:
    old,new=a.split('=')
    m=re.match(r'(.*)::\{(.*)\}$',old)
    if m:
        for x in m.group(2).split(','): MAP[tuple(m.group(1).split('::'))+(x.strip(),)]=tuple(new.split('::'))+(x.strip(),)
    else: MAP[tuple(old.split('::'))]=tuple(new.split('::'))
files=sorted(os.path.relpath(os.path.join(d,f),ROOT) for d,_,fs in os.walk(ROOT) for f in fs if f.endswith('.rs'))
def mod_of(p):
    r=p[:-3].split('/')
    if r[-1]=='mod': r=r[:-1]
    return () if r in(['lib'],['main']) else tuple(r)
mods={mod_of(f) for f in files if f!='main.rs'}
PROTECT=re.compile(r'r(#*)"(?:.|\n)*?"\1|"(?:\\.|[^"\\])*"|//[^\n]*|\'(?:\\.|[^\'\\])\'')
PATH=re.compile(r'(?<![\w:.$\x00])(crate|super|self)((?:::\w+)+)')
USE=re.compile(r'(?m)^([ \t]*)((?:pub(?:\([^)]*\))? )?)use ([^;]+);')
def inline_mods(s):
    out=[]
    for m in re.finditer(r'\bmod (\w+) \{',s):
        d=0
        for i in range(m.end()-1,len(s)):
            d+=s[i]=='{'; d-=s[i]=='}'
            if d==0 and s[i]=='}': out.append((m.start(),i,m.group(1))); break
    return out
def leaves(tree):
    out=[]
    def rec(pre,x):
        x=x.strip()
        if x.startswith('{'):
            d=0;cur=''
            for ch in x[1:x.rindex('}')]:
                d+=ch=='{'; d-=ch=='}'
                if ch==',' and d==0:
                    if cur.strip(): rec(pre,cur)
                    cur=''
                else: cur+=ch
            if cur.strip(): rec(pre,cur)
            return
        i,b=x.find('::'),x.find('{')
        if i>=0 and(b<0 or i<b): rec(pre+[x[:i].strip()],x[i+2:])
        else: out.append((pre,x))
    rec([],tree); return out
count=collections.Counter()
for f in files:
    if f=='main.rs': continue
    path=os.path.join(ROOT,f); mod=mod_of(f); keep=[]
    def hide(m): keep.append(m.group(0)); return f'\x00{len(keep)-1}\x01'
    s=PROTECT.sub(hide,open(path).read()); before=s
    def absolute(here,p):
        if p[0]=='crate': return tuple(p[1:])
        if p[0] in('super','self'):
            base,q=here,list(p)
            if q[0]=='self': q=q[1:]
            while q and q[0]=='super': base,q=base[:-1],q[1:]
            return base+tuple(q)
        return here+tuple(p) if here+(p[0],) in mods else None
    def here_at(pos,spans):
        m=mod
        for a,b,n in spans:
            if a<pos<b: m+=(n,)
        return m
    spans=inline_mods(s)
    def one(m):
        ind,vis,tree=m.groups(); here=here_at(m.start(),spans); lines=[]; changed=False; again=[]
        for pre,leaf in leaves(tree):
            name=re.split(r'\s+as\s+',leaf)[0].strip(); alias=leaf[len(name):].strip()
            p=pre+([name] if name!='self' else []); t=absolute(here,p)
            new=MAP.get(t) if t else None
            if new is None or mapped_mod(new)==here: again.append('::'.join(p)+(f' {alias}' if alias else '')); continue
            changed=True
            if alias=='' and new[-1]!=t[-1]: alias=f'as {t[-1]}'
            lines.append('crate::'+'::'.join(new)+(f' {alias}' if alias else ''))
        if not changed: return m.group(0)
        count['use']+=1
        return '\n'.join(f'{ind}{vis}use {l};' for l in again+lines)
    def mapped_mod(new): return new[:-1]
    s=USE.sub(one,s)
    spans=inline_mods(s); blocked=[(m.start(),m.end()) for m in USE.finditer(s)]
    def inline(m):
        if any(a<=m.start()<b for a,b in blocked): return m.group(0)
        p=[m.group(1)]+m.group(2)[2:].split('::'); t=absolute(here_at(m.start(),spans),p)
        if t is None: return m.group(0)
        for n in range(len(t),0,-1):
            if t[:n] in MAP: count['path']+=1; return '::'.join(('crate',)+MAP[t[:n]]+t[n:])
        return m.group(0)
    s=PATH.sub(inline,s)
    if s!=before:
        LINE=r'[ \t]*(?:pub(?:\([^)]*\))? )?use (?:crate|super|self)(?:::\w+)+(?: as \w+)?;'
        def run(m):
            groups=collections.OrderedDict()
            for l in m.group(0).split('\n'):
                x=re.match(r'([ \t]*(?:pub(?:\([^)]*\))? )?use )((?:crate|super|self)(?:::\w+)*?)::(\w+(?: as \w+)?);$',l)
                if not x: groups[(l,None)]=[]; continue
                groups.setdefault((x.group(1),x.group(2)),[]).append(x.group(3))
            out=[]
            for (a,p),L in groups.items():
                if p is None: out.append(a); continue
                L=sorted(set(L)); out.append(f'{a}{p}::{L[0]};' if len(L)==1 else f'{a}{p}::{{{", ".join(L)}}};')
            return '\n'.join(out)
        s=re.sub(rf'(?m)^{LINE}(?:\n{LINE})+$',run,s)
        open(path,'w').write(re.sub(r'\x00(\d+)\x01',lambda m:keep[int(m.group(1))],s))
print(dict(count))
