import fs from 'node:fs'
const p = JSON.parse(fs.readFileSync(process.argv[2])); const self = new Map(), byId = new Map(p.nodes.map(n=>[n.id,n]))
const dt = p.timeDeltas; let total=0
p.samples.forEach((id,i)=>{ const n=byId.get(id); const f=n.callFrame; const k=`${f.functionName||'(anon)'} ${f.url.split('/').slice(-2).join('/')}:${f.lineNumber+1}`; if(/idle/.test(k))return; total+=dt[i]; self.set(k,(self.get(k)??0)+dt[i]) })
console.log('total ms', total/1000)
for (const [k,v] of [...self].sort((a,b)=>b[1]-a[1]).slice(0,Number(process.argv[3]??45))) console.log((v/total*100).toFixed(1).padStart(5), k)
