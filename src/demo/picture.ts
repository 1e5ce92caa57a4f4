import sharp from 'sharp'

const size = 1024

/** A picture as an image model might make it: a low sun over hills, as PNG. No two are the same. */
export async function paintPicture(random: () => number = Math.random): Promise<Buffer> {
  const hue = Math.round(random() * 60)
  const sun = { x: 200 + random() * 624, y: 380 + random() * 160, r: 70 + random() * 50 }
  const hill = (y: number, shade: number) => {
    const bend = () => Math.round(y - 60 + random() * 120)
    return `<path fill="hsl(${260 - hue} 40% ${shade}%)" d="M0 ${bend()} C 256 ${bend()} 384 ${bend()} 512 ${bend()} S 896 ${bend()} ${size} ${bend()} V ${size} H 0 Z"/>`
  }
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}">
    <defs>
      <linearGradient id="sky" x2="0" y2="1">
        <stop offset="0" stop-color="hsl(${250 - hue} 60% 22%)"/>
        <stop offset=".55" stop-color="hsl(${340 - hue} 70% 55%)"/>
        <stop offset="1" stop-color="hsl(${30 + hue / 3} 95% 70%)"/>
      </linearGradient>
      <radialGradient id="glow">
        <stop offset="0" stop-color="#fff6d5"/><stop offset=".4" stop-color="#ffe29a" stop-opacity=".8"/>
        <stop offset="1" stop-color="#ffb36b" stop-opacity="0"/>
      </radialGradient>
    </defs>
    <rect width="${size}" height="${size}" fill="url(#sky)"/>
    <circle cx="${sun.x}" cy="${sun.y}" r="${sun.r * 3}" fill="url(#glow)"/>
    <circle cx="${sun.x}" cy="${sun.y}" r="${sun.r}" fill="#fff3cf"/>
    ${hill(640, 34)}${hill(740, 24)}${hill(860, 14)}
  </svg>`
  return sharp(Buffer.from(svg)).png().toBuffer()
}
